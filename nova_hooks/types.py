# SPDX-License-Identifier: Apache-2.0
"""Which volume type says what an expression says.

Nova hands Cinder a volume type and nothing else, so the feature must travel
in one. A type fits if the project may use it and its ``feature:require`` is
the expression. For an expression that no type carries, one is *derived*:
private, open to the project, named after the expression.
"""

from collections.abc import Iterable
import dataclasses

from cinder_tagged import exceptions
from cinder_tagged import features

#: Extra spec that marks derived types; its value is never read.
DERIVED_SPEC = 'feature:derived'
_PREFIX = 'feature: '


@dataclasses.dataclass(frozen=True, slots=True)
class VolumeType:
    """A volume type of Cinder.

    :param require: its extra spec ``feature:require``; None without one
    :param projects: those that may use a private one; None if not known
    """

    id: str
    name: str
    require: str | None = None
    public: bool = True
    derived: bool = False
    projects: frozenset[str] | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Choice:
    """How to get at a type.

    :param found: the type to use, or the one to open to the project; None
        if one must be derived
    :param open: whether the project still has to be let in
    """

    found: VolumeType | None
    open: bool = False


def choose(types: Iterable[VolumeType], expression: features.Expression,
           project: str) -> Choice:
    """Choose the type for an expression.

    In this order: a public type of the expression's own name, another
    public one, one the project was let into, a derived one.
    """
    fitting = sorted((t for t in types if says(t, expression)),
                     key=lambda t: (not t.public, t.derived,
                                    t.name != str(expression), t.name))
    for candidate in fitting:
        if candidate.public or project in (candidate.projects or ()):
            return Choice(candidate)
    for candidate in fitting:
        if candidate.derived:
            return Choice(candidate, open=True)
    return Choice(None)


def says(volume_type: VolumeType, expression: features.Expression) -> bool:
    """Tell whether a type asks for what an expression asks for."""
    if volume_type.require is None:
        return False
    try:
        found = features.parse_expression(volume_type.require)
    except exceptions.ExpressionError:
        return False  # unusable; the scheduler refuses it with the reason
    # Another set of words hardly ever means the same, and tells at once.
    return found.words() == expression.words() and features.same_meaning(
        found, expression)


def derived_name(expression: features.Expression) -> str:
    """Return the name of a derived type; Cinder takes 255 characters."""
    name = f'{_PREFIX}{expression}'
    return name if len(name) <= 255 else f'{name[:252]}...'
