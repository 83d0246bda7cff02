# SPDX-License-Identifier: Apache-2.0
"""What each cluster holds while a plan grows. Pure."""

from collections.abc import Iterable
import dataclasses

from cinder_tagged import placement
from cinder_tagged.cli import report
from cinder_tagged.moves import model

#: Identity of what is filled: what :attr:`placement.Pool.key` gives.
ClusterKey = tuple[str, str]


class Books:
    """What each cluster holds, with the plan's moves counted.

    What Cinder lists is newer than what backends have reported, and the
    volume services do not count moved volumes; the scheduler counts in the
    database for the same reasons.

    :param pools: every backend; the caller's are not changed
    :param volumes: every volume
    """

    def __init__(self, pools: Iterable[placement.Pool],
                 volumes: Iterable[model.Volume]) -> None:
        listed: dict[str, int] = {}
        for volume in volumes:
            listed[volume.backend] = (listed.get(volume.backend, 0)
                                      + volume.size_gb)
        self.pools = {pool.backend: dataclasses.replace(
            pool, allocated_gb=float(listed.get(pool.backend, 0)))
            for pool in pools}
        self._members: dict[ClusterKey, list[placement.Pool]] = {}
        for pool in self.pools.values():
            self._members.setdefault(pool.key, []).append(pool)
        self._before = {key: self.load(key).used_gb for key in self._members}

    def key(self, backend: str) -> ClusterKey:
        """Return which cluster a backend fills."""
        pool = self.pools.get(backend)
        return pool.key if pool else ('', backend)

    def beside(self, backends: Iterable[str]) -> frozenset[str]:
        """Return the backends that fill the same clusters as some do."""
        keys = {self.key(backend) for backend in backends}
        return frozenset(pool.backend for key in keys
                         for pool in self._members.get(key, ()))

    def load(self, key: ClusterKey) -> placement.Load:
        """Return what a cluster holds now."""
        return placement.load_of(self._members[key])

    def room_gb(self, backend: str, thin: bool) -> float:
        """Return how much a backend still takes."""
        pool = self.pools[backend]
        return placement.room_of(pool, self.load(pool.key), thin).gb

    def judge(self, wish: model.Wish, size_gb: float,
              policy: placement.Policy,
              shut: frozenset[str] = frozenset()) -> placement.Decision:
        """Ask placement where a volume may go.

        :param shut: backends that it may not go to
        """
        pools = self.pools.values()
        return placement.decide(
            placement.Request(size_gb, wish.require, shut, thin=wish.thin),
            report.mark_refused(pools, wish.require, wish.refused,
                                wish.others) if wish.refused else pools,
            policy)

    def move(self, size_gb: int, source: str, target: str) -> None:
        """Count a move."""
        if source in self.pools:
            self.pools[source].pending_gb -= size_gb
        self.pools[target].pending_gb += size_gb

    def shares(self) -> list[model.Share]:
        """Return what each cluster held, and holds after the moves."""
        return sorted(
            (model.Share(_name(group[0]), group[0].weight, self._before[key],
                         self.load(key).used_gb)
             for key, group in self._members.items()),
            key=lambda share: share.cluster)


def _name(pool: placement.Pool) -> str:
    if pool.feature:
        return pool.feature.cluster.name or pool.feature.backend
    return pool.backend
