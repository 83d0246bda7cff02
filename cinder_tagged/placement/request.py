# SPDX-License-Identifier: Apache-2.0
"""What a request asks of placement."""

from collections.abc import Mapping
import dataclasses

from cinder_tagged import exceptions
from cinder_tagged import features
from cinder_tagged.features import expression
from cinder_tagged.placement import pool as pool_mod

#: Extra spec of a volume type that holds the expression. The scope keeps
#: Cinder's own CapabilitiesFilter from reading it.
EXTRA_SPEC = 'feature:require'
#: Scheduler hint that holds a further expression.
HINT = 'feature'
#: Most hints in one request: as many as fit into the longest expression.
MAX_HINTS = 128
#: Keys of a volume's metadata in which the scheduler leaves, for a request
#: that found no place, the expression that was asked and why it failed.
ASKED_METADATA = 'feature_request'
WHY_METADATA = 'feature_explanation'


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """One block device to place.

    :param size_gb: what it adds to the cluster, in GiB; 0 where nothing is
        added, as when an existing volume is taken under management
    :param require: condition on the cluster's tags; None accepts any
    :param excluded: backends that were tried before and failed
    :param present_on: backend that holds the volume already; it is not asked
        for room again
    :param thin: False if the volume type demands thick provisioning
    :param image_id: what the volume is made from, if it is an image
    :param holders: fsids of clusters that the image is in
    :param preference: how much less loaded a cluster counts that holds the
        image, 0 to 1
    """

    size_gb: float
    require: features.Expression | None = None
    excluded: frozenset[str] = frozenset()
    present_on: str | None = None
    thin: bool = True
    image_id: str | None = None
    holders: frozenset[str] = frozenset()
    preference: float = 0.0

    def favour(self, pool: pool_mod.Pool) -> float:
        """Return how much less loaded a backend counts, 0 to 1."""
        return self.preference if self.is_held_by(pool) else 0.0

    def is_held_by(self, pool: pool_mod.Pool) -> bool:
        """Tell whether the image, or a copy of it, is in the cluster."""
        return self.image_id is not None and (
            pool.key[0] in self.holders or self.image_id in pool.images)


def is_thin(extra_specs: Mapping[str, str]) -> bool:
    """Tell whether a volume type leaves thin provisioning to the backend."""
    return extra_specs.get('provisioning:type') != 'thick'


def requirement(extra_specs: Mapping[str, str] | None,
                hints: Mapping[str, object] | None,
                ) -> features.Expression | None:
    """Join what the volume type and the scheduler hint ask for.

    :param hints: the hint may be one text or a list of them; all must hold
    :returns: None where neither asks for a feature
    :raises ExpressionError: one of them cannot be read
    """
    texts: list[str] = []
    if extra_specs and EXTRA_SPEC in extra_specs:
        texts.append(extra_specs[EXTRA_SPEC])
    if hints and hints.get(HINT) is not None:
        hint = hints[HINT]
        hints_given = hint if isinstance(hint, (list, tuple)) else [hint]
        if len(hints_given) > MAX_HINTS:
            raise exceptions.ExpressionError(
                f'{len(hints_given)} hints', 0,
                f'more than {MAX_HINTS} features are named')
        texts += map(str, hints_given)
    joined: features.Expression | None = None
    for text in texts:
        parsed = features.parse_expression(text)
        joined = expression.And(joined, parsed) if joined else parsed
    return joined
