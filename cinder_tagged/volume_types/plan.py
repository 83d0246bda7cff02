# SPDX-License-Identifier: Apache-2.0
"""Which volume types to make for the tags that backends report.

Invariant: a type is made only where no type of that name stands, and nothing
is ever changed or deleted. What an operator made, renamed, hid or edited
stays as it is; what does not fit is reported.
"""

from collections.abc import Iterable
from collections.abc import Mapping
import dataclasses
import enum

from cinder_tagged import exceptions
from cinder_tagged import features
from cinder_tagged.features import expression
from cinder_tagged.placement import request as request_mod

#: Extra spec that marks a type as made by this suite.
MARKER = 'feature:managed_by'
MANAGER = 'cinder-tagged'
#: How every description of ours begins; users see no extra specs, so it is
#: what they can know such a type by.
DESCRIPTION_PREFIX = 'Storage with the feature '


class State(enum.StrEnum):
    """How a tag and the volume type of its name stand to each other."""

    #: the type is ours, or asks for the tag, and clusters carry the tag
    SERVED = 'served'
    #: the type is ours, and no cluster carries the tag any more
    UNSERVED = 'unserved'
    #: somebody else made a type of this name
    FOREIGN = 'foreign'
    #: there is no type yet
    MISSING = 'missing'


@dataclasses.dataclass(frozen=True)
class ExistingType:
    """A volume type as it stands in Cinder."""

    name: str
    extra_specs: Mapping[str, str]
    description: str = ''
    is_public: bool = True

    @property
    def managed(self) -> bool:
        """Tell whether this suite made it."""
        return self.extra_specs.get(MARKER) == MANAGER

    @property
    def asks(self) -> str | None:
        """Return the expression that it asks for, as written there."""
        return self.extra_specs.get(request_mod.EXTRA_SPEC)

    def serves(self, word: str) -> bool:
        """Tell whether it asks for exactly this tag."""
        try:
            asked = features.parse_expression(self.asks or '')
        except exceptions.ExpressionError:
            return False
        return isinstance(asked, expression.Term) and asked.word == word


@dataclasses.dataclass(frozen=True)
class NewType:
    """A volume type to make; public."""

    word: str
    description: str

    @property
    def name(self) -> str:
        return self.word

    @property
    def extra_specs(self) -> dict[str, str]:
        return {request_mod.EXTRA_SPEC: self.word, MARKER: MANAGER}


@dataclasses.dataclass(frozen=True)
class Plan:
    """What to do about each tag and each type of ours, by word.

    :param create: types to make
    :param leave: types that serve their tag; nothing to do
    :param foreign: types of a tag's name which somebody else made
    :param unserved: types of ours whose tag no cluster carries
    """

    create: tuple[NewType, ...]
    leave: Mapping[str, ExistingType]
    foreign: Mapping[str, ExistingType]
    unserved: Mapping[str, ExistingType]

    def state_of(self, word: str) -> State:
        """Return the state of one tag's type, before the plan is done."""
        for known, state in ((self.leave, State.SERVED),
                             (self.foreign, State.FOREIGN),
                             (self.unserved, State.UNSERVED)):
            if word in known:
                return state
        return State.MISSING

    def type_of(self, word: str) -> ExistingType | None:
        """Return the type that stands for a tag, whoever made it."""
        return (self.leave.get(word) or self.foreign.get(word)
                or self.unserved.get(word))

    def complaints(self) -> list[str]:
        """Say what an operator should know of, one sentence for each."""
        said = [f'the volume type {found.name!r} was made by somebody else '
                f'and {_asking(found, word)}; it is left alone'
                for word, found in self.foreign.items()]
        said += [f'the volume type {found.name!r} was made for the tag '
                 f'{word!r} and now {_asking(found, word)}; it is left alone'
                 for word, found in self.leave.items()
                 if found.managed and not found.serves(word)]
        said += [f'the volume type {found.name!r} is unserved: no backend '
                 f'reports the tag {word!r}; it is kept'
                 for word, found in self.unserved.items()]
        return said


def plan(first_level: Iterable[features.FirstLevelFeature],
         existing: Iterable[ExistingType]) -> Plan:
    """Compare the tags in use with the types that stand.

    Names are compared without regard to case, as Cinder's databases do.

    :param first_level: the derived features, one per distinct tag
    :param existing: every type in Cinder, private ones included
    """
    standing = list(existing)
    by_name = {found.name.casefold(): found for found in standing}
    create: list[NewType] = []
    leave: dict[str, ExistingType] = {}
    foreign: dict[str, ExistingType] = {}
    accounted: set[str] = set()
    for feature in first_level:
        word = feature.word
        found = by_name.get(word) or _renamed(standing, word)
        if found is None:
            create.append(NewType(word, description(feature)))
            continue
        accounted.add(found.name)
        (leave if found.managed else foreign)[word] = found
    unserved = {found.name: found for found in standing
                if found.managed and found.name not in accounted}
    return Plan(tuple(create), leave, foreign, unserved)


def description(feature: features.FirstLevelFeature) -> str:
    """Return what users read of a type of ours."""
    kind = f' ({feature.kind})' if feature.kind else ''
    return f'{DESCRIPTION_PREFIX}"{feature.word}"{kind}'


def _renamed(standing: Iterable[ExistingType],
             word: str) -> ExistingType | None:
    """Find a type of ours that an operator gave another name."""
    for found in standing:
        if found.managed and found.serves(word):
            return found
    return None


def _asking(found: ExistingType, word: str) -> str:
    if found.serves(word):
        return 'asks for the same tag, so it serves'
    if found.asks:
        return f'asks for {found.asks!r}'
    return f'does not ask for the tag (no {request_mod.EXTRA_SPEC})'
