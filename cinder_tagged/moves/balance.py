# SPDX-License-Identifier: Apache-2.0
"""The move that levels two clusters best. Pure.

The *pressure* of a cluster is what it holds per weight. Loads are in
proportion to weights when all pressures are equal. A move of ``s`` GiB from a
cluster with pressure ``p`` and weight ``v`` to one with ``q`` and ``w`` levels
them exactly when ``s = (p - q) / (1/v + 1/w)``, and makes things better as
long as ``s`` is less than twice that. Since the sum of ``pressure * load``
shrinks with every such move, planning ends.
"""

import bisect
from collections.abc import Iterable
from collections.abc import Sequence
import dataclasses
import math

from cinder_tagged.moves import model

# A move that only looks better because arithmetic rounds is none.
_ROUNDING_GB = 1e-6


@dataclasses.dataclass(frozen=True, slots=True)
class Side:
    """A backend at one end of a move.

    :param key: which cluster it fills
    :param room_gb: what it still takes; of no meaning where volumes leave
    """

    backend: str
    key: tuple[str, str]
    load_gb: float
    weight: float
    room_gb: float = math.inf

    @property
    def pressure(self) -> float:
        """What it holds per weight; infinite at weight 0."""
        return self.load_gb / self.weight if self.weight else math.inf

    @property
    def order(self) -> tuple[float, str]:
        return self.pressure, self.backend


class Group:
    """Volumes that ask for the same, by the backend that they are on."""

    def __init__(self, wish: model.Wish) -> None:
        self.wish = wish
        self._volumes: dict[str, list[model.Volume]] = {}

    def add(self, volume: model.Volume) -> None:
        bisect.insort(self._volumes.setdefault(volume.backend, []), volume,
                      key=_size)

    def take(self, volume: model.Volume) -> None:
        """Leave a volume out from here on: none is moved twice."""
        self._volumes[volume.backend].remove(volume)

    @property
    def holders(self) -> list[str]:
        """The backends that still have volumes to give."""
        return [name for name, volumes in self._volumes.items() if volumes]

    def best(self, source: Side, target: Side) -> model.Volume | None:
        """Return the volume that levels two backends best, if one does."""
        volumes = self._volumes[source.backend]
        ideal = _ideal(source, target)
        place = bisect.bisect_right(
            volumes, min(ideal, target.room_gb), key=_size)
        if place:
            return volumes[place - 1]
        smallest = volumes[0]
        if (smallest.size_gb < 2 * ideal - _ROUNDING_GB
                and smallest.size_gb <= target.room_gb):
            return smallest
        return None


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """A move that makes loads more level.

    :param excess: by how much the pressures differ
    """

    group: Group
    volume: model.Volume
    target: str
    excess: float


def groups(volumes: Iterable[model.Volume]) -> list[Group]:
    """Put volumes together that ask for the same."""
    found: dict[tuple[str, frozenset[str], bool], Group] = {}
    for volume in volumes:
        wish = volume.wish
        key = (str(wish.require or ''), wish.refused, wish.thin)
        found.setdefault(key, Group(wish)).add(volume)
    return list(found.values())


def step(group: Group, sources: Sequence[Side], targets: Sequence[Side],
         tolerance: float) -> Step | None:
    """Return the move of a group that levels the greatest difference.

    :param tolerance: differences up to this part are left alone
    """
    inward = sorted((t for t in targets if t.weight), key=lambda t: t.order)
    for source in sorted(sources, key=lambda s: s.order, reverse=True):
        for target in inward:
            if source.pressure <= target.pressure * (1 + tolerance):
                break
            if target.key == source.key:
                continue
            volume = group.best(source, target)
            if volume is not None:
                return Step(group, volume, target.backend,
                            source.pressure - target.pressure)
    return None


def _size(volume: model.Volume) -> int:
    return volume.size_gb


def _ideal(source: Side, target: Side) -> float:
    if not source.weight:
        return math.inf
    return (source.pressure - target.pressure) / (
        1 / source.weight + 1 / target.weight)
