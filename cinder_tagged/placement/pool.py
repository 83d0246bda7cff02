# SPDX-License-Identifier: Apache-2.0
"""One backend as placement sees it, and how much it can still take."""

from collections.abc import Iterable
from collections.abc import Mapping
import dataclasses
import math
from typing import Any

from cinder_tagged import exceptions
from cinder_tagged import features
from cinder_tagged.features import wire

INFINITE = math.inf
# No storage has more GiB; beyond, arithmetic may run over.
_MOST = 1e15
_REPORTED_DOWN = 'the backend reports its cluster as down'
_UNKNOWN = ('infinite', 'unknown', None, '')

#: Identity of what is filled: (fsid, pool), or the backend itself.
ClusterKey = tuple[str, str]


def _number(caps: Mapping[str, Any], key: str, unknown: float) -> float:
    """Read an amount.

    :raises FeatureConfigError: it is no number
    """
    value = caps.get(key)
    try:
        if value in _UNKNOWN:
            return unknown
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if math.isnan(number) or _MOST < abs(number) < math.inf:
        raise exceptions.FeatureConfigError(
            key, value, 'the backend has to report a number, "infinite" or '
            '"unknown"')
    return unknown if math.isinf(number) else number


def _ratio(caps: Mapping[str, Any], total: float, free: float,
           provisioned: float) -> float:
    """Read max_over_subscription_ratio; ``auto`` as Cinder defines it."""
    key = 'max_over_subscription_ratio'
    if caps.get(key) != 'auto':
        return _number(caps, key, 1.0)
    if not provisioned or not math.isfinite(total):
        return 20.0
    return 1.0 + provisioned / (total - free + 1.0)


@dataclasses.dataclass(slots=True)
class Pool:
    """A backend's report, with what this scheduler has placed since.

    All amounts are in GiB; an amount nobody knows is infinite.

    :param backend: ``host@backend#pool``, or the same with a cluster
    :param feature: None for a backend without tags
    :param up: service and cluster can take requests
    :param provisioned_gb: sum of virtual sizes that the storage reports, 0
        where it reports none
    :param allocated_gb: sum of Cinder's own volumes on this backend
    :param pending_gb: placed here since ``allocated_gb`` was known
    :param images: ids of images that the backend has copies of, as far as it
        tells
    """

    backend: str
    feature: features.SecondLevelFeature | None = None
    up: bool = True
    down_reason: str = ''
    total_gb: float = INFINITE
    free_gb: float = INFINITE
    provisioned_gb: float = 0.0
    allocated_gb: float = 0.0
    pending_gb: float = 0.0
    reserved_percentage: float = 0.0
    max_over_subscription_ratio: float = 1.0
    thin: bool = False
    images: frozenset[str] = frozenset()

    @classmethod
    def from_capabilities(cls, backend: str, caps: Mapping[str, Any],
                          **changes: Any) -> 'Pool':
        """Read what a backend reports, as the scheduler or REST gives it.

        :param changes: values that the caller knows better
        :raises FeatureConfigError: the reported tags, weight or amounts are
            unusable
        """
        total = _number(caps, 'total_capacity_gb', INFINITE)
        free = _number(caps, 'free_capacity_gb', INFINITE)
        allocated = _number(caps, 'allocated_capacity_gb', 0.0)
        provisioned = _number(caps, 'provisioned_capacity_gb', 0.0)
        down = caps.get('backend_state') == 'down'
        pool = cls(
            backend=backend,
            feature=features.from_capabilities(caps, backend),
            up=not down,
            down_reason=str(caps.get(wire.DOWN_REASON) or _REPORTED_DOWN)
            if down else '',
            total_gb=total, free_gb=free, allocated_gb=allocated,
            provisioned_gb=provisioned,
            reserved_percentage=_number(caps, 'reserved_percentage', 0.0),
            max_over_subscription_ratio=_ratio(
                caps, total, free, provisioned or allocated),
            thin=caps.get('thin_provisioning_support') in (True, 'True',
                                                           'true'),
            images=frozenset(caps.get(wire.IMAGES) or ()))
        return dataclasses.replace(pool, **changes) if changes else pool

    @property
    def key(self) -> ClusterKey:
        """What the backend fills; hosts serving one pool share it."""
        if self.feature and self.feature.cluster.fsid:
            return (self.feature.cluster.fsid, self.feature.cluster.pool)
        return ('', self.backend)

    @property
    def weight(self) -> float:
        """Weight factor; a backend without tags counts as 1."""
        return self.feature.weight if self.feature else 1.0


@dataclasses.dataclass(frozen=True, slots=True)
class Load:
    """What a cluster holds: as reported, and placed since, in GiB."""

    reported_gb: float
    pending_gb: float

    @property
    def used_gb(self) -> float:
        return self.reported_gb + self.pending_gb

    def seen_by(self, schedulers: int) -> float:
        """Return the load to balance by, where several schedulers decide.

        All of them see the same report, and none sees what the others have
        placed since. If each tried to even out the whole of what is reported,
        together they would overshoot as many times. So each takes its own
        part of it, and counts its own placements in full; when the others
        do the same, the sum is even.
        """
        return self.reported_gb / schedulers + self.pending_gb


def load_of(members: Iterable[Pool]) -> Load:
    """Add up the backends that fill one cluster.

    What the storage reports covers the whole pool and is the same for each
    of them, so the greatest counts; Cinder's own sums add up.
    """
    provisioned = allocated = pending = 0.0
    for pool in members:
        provisioned = max(provisioned, pool.provisioned_gb)
        allocated += pool.allocated_gb
        pending += pool.pending_gb
    return Load(max(provisioned, allocated), pending)


@dataclasses.dataclass(frozen=True, slots=True)
class Room:
    """How much more a cluster may hold, and what sets the limit.

    :param limit: ``free``, ``oversubscription``, ``capacity`` or
        ``reserved``; where the room is not enough, this is why
    """

    gb: float
    limit: str


def room_of(pool: Pool, load: Load, thin: bool = True) -> Room:
    """Return how many GiB the cluster can still take.

    The same arithmetic as Cinder's CapacityFilter, and one rule more: a
    thin cluster without physical space beyond its reserve takes nothing,
    however much it may be oversubscribed.
    """
    if math.isinf(pool.free_gb):
        return Room(INFINITE, 'free')
    if math.isinf(pool.total_gb):
        return Room(0.0 if pool.reserved_percentage else INFINITE, 'reserved')
    reserved = math.floor(pool.total_gb * pool.reserved_percentage / 100.0)
    available = pool.total_gb - reserved
    if thin and pool.thin:
        if pool.free_gb <= reserved:
            return Room(0.0, 'reserved' if reserved else 'free')
        return Room(available * pool.max_over_subscription_ratio
                    - load.used_gb, 'oversubscription')
    calculated = available - load.used_gb
    free = pool.free_gb - load.pending_gb
    return Room(min(calculated, free),
                'free' if free < calculated else
                'reserved' if reserved else 'capacity')
