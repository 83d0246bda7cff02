# SPDX-License-Identifier: Apache-2.0
"""Clusters indexed by tag and kept in order, for the scheduler.

Looking at every backend for every request costs what all backends cost. Here
an expression is evaluated once over sets of backends (bits of an integer) and
leaves a *view*: one heap of the matching backends per weight class, ordered by
the policy's value. Later changes of a backend's load are pushed to the views
that hold it, and a request reads only the top of the heaps.

Not safe for several threads at once; the caller holds a lock.
"""

from collections.abc import Iterator
import dataclasses
import heapq
import itertools
from typing import NamedTuple

from cinder_tagged import features
from cinder_tagged.features import expression as expression_mod
from cinder_tagged.placement import decision
from cinder_tagged.placement import policy as policy_mod
from cinder_tagged.placement import pool as pool_mod
from cinder_tagged.placement import request as request_mod

#: Views kept; each is one distinct expression in use.
MAX_VIEWS = 64

#: (value, own load, backend, stamp); an entry with an old stamp is dead.
_Entry = tuple[float, float, str, int]
#: (rank, own load, backend): what a view's backends are sorted by.
_Ranked = tuple[policy_mod.Rank, float, str]


class Judgement(NamedTuple):
    """What is decided of one backend.

    :param order: what accepted backends are sorted by, best first
    """

    accepted: bool
    order: decision.Order


@dataclasses.dataclass(slots=True)
class _View:
    """Backends that match one expression, one heap per weight class."""

    members: frozenset[str]
    heaps: dict[float, list[_Entry]]
    seen: int  # changes of the index that the heaps include


class PlacementIndex:
    """Pools by tag, with the best of those that match at hand."""

    def __init__(self, policy: policy_mod.Policy, schedulers: int = 1):
        self.policy = policy
        self._schedulers = schedulers
        self._pools: dict[str, pool_mod.Pool] = {}
        self._clusters: dict[pool_mod.ClusterKey, set[str]] = {}
        # Where images are: backends by image, and by fsid.
        self._with_image: dict[str, set[str]] = {}
        self._by_fsid: dict[str, set[str]] = {}
        self._loads: dict[pool_mod.ClusterKey, pool_mod.Load] = {}
        self._stamps: dict[str, int] = {}
        self._clock = itertools.count(1)
        self._views: dict[str, _View] = {}
        self._changes: list[str] = []
        self._forgotten = 0  # changes trimmed from the front of the list
        self._order: list[str] = []  # backend by bit, while views stand
        self._masks: dict[tuple[str, str | None], int] = {}

    # -- keeping it current -------------------------------------------------

    @property
    def pools(self) -> dict[str, pool_mod.Pool]:
        """All pools by backend; change them only through the index."""
        return self._pools

    @property
    def schedulers(self) -> int:
        return self._schedulers

    @schedulers.setter
    def schedulers(self, number: int) -> None:
        if number != self._schedulers:
            self._schedulers = number
            self._views.clear()

    def put(self, pool: pool_mod.Pool) -> None:
        """Add a backend, or replace what is known of it."""
        old = self._pools.get(pool.backend)
        self._pools[pool.backend] = pool
        if old is None or old.feature != pool.feature:
            if old is not None:
                self._leave(old)
            self._clusters.setdefault(pool.key, set()).add(pool.backend)
            self._by_fsid.setdefault(pool.key[0], set()).add(pool.backend)
            self._reset_views()
        self._follow_images(pool.backend, old.images if old else frozenset(),
                            pool.images)
        self._touch(pool.key)

    def drop(self, backend: str) -> None:
        """Forget a backend; unknown ones are ignored."""
        old = self._pools.pop(backend, None)
        if old is not None:
            self._leave(old)
            self._follow_images(backend, old.images, frozenset())
            self._stamps.pop(backend, None)
            self._reset_views()

    def consume(self, backend: str, size_gb: float) -> None:
        """Count a placement, or with a negative size take it back."""
        pool = self._pools.get(backend)
        if pool is not None:
            pool.pending_gb += size_gb
            self._touch(pool.key)

    def _follow_images(self, backend: str, old: frozenset[str],
                       new: frozenset[str]) -> None:
        for image in new - old:
            self._with_image.setdefault(image, set()).add(backend)
        for image in old - new:
            self._with_image[image].discard(backend)
            if not self._with_image[image]:
                del self._with_image[image]

    def _leave(self, pool: pool_mod.Pool) -> None:
        self._by_fsid[pool.key[0]].discard(pool.backend)
        group = self._clusters[pool.key]
        group.discard(pool.backend)
        if group:
            self._touch(pool.key)
        else:
            del self._clusters[pool.key]
            self._loads.pop(pool.key, None)

    def _touch(self, key: pool_mod.ClusterKey) -> None:
        """Note that every backend of a cluster has a new load."""
        group = [self._pools[b] for b in self._clusters[key]
                 if b in self._pools]
        self._loads[key] = pool_mod.load_of(group)
        stamp = next(self._clock)
        for pool in group:
            self._stamps[pool.backend] = stamp
            self._changes.append(pool.backend)
        limit = 4 * len(self._pools) + 64
        if len(self._changes) > limit:
            half = len(self._changes) // 2
            del self._changes[:half]
            self._forgotten += half

    def _reset_views(self) -> None:
        self._views.clear()
        self._masks.clear()

    # -- asking ---------------------------------------------------------------

    def load(self, backend: str) -> pool_mod.Load:
        """Return what the cluster behind a backend holds."""
        return self._loads[self._pools[backend].key]

    def matching(self, request: request_mod.Request) -> frozenset[str]:
        """Return every backend whose tags match, full or down ones too."""
        return self._view(request.require).members

    def judge(self, request: request_mod.Request, backend: str) -> Judgement:
        """Judge one backend; the same answer as :meth:`ranked` gives.

        :raises KeyError: unknown backend
        """
        pool = self._pools[backend]
        load = self._loads[pool.key]
        room = pool_mod.room_of(pool, load, request.thin)
        words = pool.feature.words if pool.feature else {}
        return Judgement(
            pool.up and backend not in request.excluded
            and (request.require is None or request.require.matches(words))
            and decision.fits(request, pool, room),
            decision.order_key(self.policy, pool, load, room,
                               request, self._schedulers))

    def ranked(self, request: request_mod.Request) -> Iterator[pool_mod.Pool]:
        """Yield the backends that can take a request, best first.

        The index must not change until the iteration ends.
        """
        tight = []
        for backend in self._in_order(self._view(request.require), request):
            pool = self._pools[backend]
            if not pool.up or backend in request.excluded:
                continue
            room = pool_mod.room_of(pool, self._loads[pool.key], request.thin)
            if not decision.fits(request, pool, room):
                continue
            if decision.is_tight(room, request.size_gb, self._schedulers):
                tight.append(pool)
            else:
                yield pool
        yield from tight

    def _in_order(self, view: _View,
                  request: request_mod.Request) -> Iterator[str]:
        """Yield a view's backends, those that hold the image preferred."""
        holders = self._holders(request) & view.members
        walk = self._walk(view, request.size_gb)
        if not holders:
            return (entry[2] for entry in walk)
        favoured = sorted(self._favoured(name, request) for name in holders)
        others = (entry for entry in walk if entry[2] not in holders)
        return (entry[2] for entry in heapq.merge(favoured, others))

    def _holders(self, request: request_mod.Request) -> set[str]:
        if not request.preference or request.image_id is None:
            return set()
        return self._with_image.get(request.image_id, set()).union(
            *(self._by_fsid.get(fsid, ()) for fsid in request.holders))

    def _favoured(self, backend: str,
                  request: request_mod.Request) -> _Ranked:
        weight, (value, own, _, _) = self._entry(backend)
        value = self.policy.favoured(value, request.size_gb,
                                     request.preference)
        return (self.policy.rank(weight, value, request.size_gb), own,
                backend)

    def _walk(self, view: _View, size_gb: float) -> Iterator[_Ranked]:
        """Read the heaps in order of rank, without taking them apart."""
        rank = self.policy.rank
        ahead = []
        for weight, heap in view.heaps.items():
            while heap and self._stamps[heap[0][2]] != heap[0][3]:
                heapq.heappop(heap)
            if heap:
                value, own, backend, _ = heap[0]
                ahead.append((rank(weight, value, size_gb), own, backend,
                              weight, 0))
        heapq.heapify(ahead)
        while ahead:
            ranked, own, backend, weight, at = heapq.heappop(ahead)
            heap = view.heaps[weight]
            for child in range(2 * at + 1, min(2 * at + 3, len(heap))):
                value, load, name, _ = heap[child]
                heapq.heappush(ahead, (rank(weight, value, size_gb), load,
                                       name, weight, child))
            if self._stamps[backend] == heap[at][3]:
                yield ranked, own, backend

    # -- views ------------------------------------------------------------

    def _view(self, require: features.Expression | None) -> _View:
        text = str(require) if require else ''
        view = self._views.pop(text, None)
        if view is None or not self._catch_up(view):
            view = self._build(view.members if view
                               else self._matching(require))
        self._views[text] = view  # last used is last in the dict
        if len(self._views) > MAX_VIEWS:
            del self._views[next(iter(self._views))]
        return view

    def _entry(self, backend: str) -> tuple[float, _Entry]:
        pool = self._pools[backend]
        load = self._loads[pool.key]
        value = self.policy.value(load.seen_by(self._schedulers),
                                  pool_mod.room_of(pool, load))
        return (self.policy.class_of(pool.weight),
                (value, pool.allocated_gb + pool.pending_gb, backend,
                 self._stamps[backend]))

    def _build(self, members: frozenset[str]) -> _View:
        heaps: dict[float, list[_Entry]] = {}
        for backend in members:
            weight, entry = self._entry(backend)
            heaps.setdefault(weight, []).append(entry)
        for heap in heaps.values():
            heapq.heapify(heap)
        return _View(members, heaps, self._forgotten + len(self._changes))

    def _catch_up(self, view: _View) -> bool:
        """Push what changed since; False where a rebuild is cheaper."""
        start = view.seen - self._forgotten
        news = len(self._changes) - start
        size = sum(map(len, view.heaps.values()))
        if start < 0 or news > len(view.members) // 2 + 16 \
                or size > 4 * len(view.members) + 64:
            return False
        for backend in dict.fromkeys(self._changes[start:]):
            if backend in view.members:
                weight, entry = self._entry(backend)
                heapq.heappush(view.heaps.setdefault(weight, []), entry)
        view.seen = self._forgotten + len(self._changes)
        return True

    def _matching(self, require: features.Expression | None,
                  ) -> frozenset[str]:
        if require is None:
            return frozenset(self._pools)
        if not self._masks:
            self._index_tags()
        everything = (1 << len(self._order)) - 1

        def leaf(term: expression_mod.Term) -> int:
            return self._masks.get((term.word, term.kind), 0)

        mask = require.fold(leaf, lambda m: everything & ~m,
                            lambda a, b: a & b, lambda a, b: a | b)
        return frozenset(name for bit, name in enumerate(self._order)
                         if mask >> bit & 1)

    def _index_tags(self) -> None:
        """Give each backend a bit, and each tag the bits that carry it."""
        self._order = list(self._pools)
        bits: dict[tuple[str, str | None], list[int]] = {}
        for bit, name in enumerate(self._order):
            feature = self._pools[name].feature
            for tag in feature.tags if feature else ():
                bits.setdefault((tag.word, None), []).append(bit)
                if tag.kind:
                    bits.setdefault((tag.word, tag.kind), []).append(bit)
        size = len(self._order) // 8 + 1
        for tag_key, positions in bits.items():
            raw = bytearray(size)
            for bit in positions:
                raw[bit // 8] |= 1 << bit % 8
            self._masks[tag_key] = int.from_bytes(raw, 'little')
