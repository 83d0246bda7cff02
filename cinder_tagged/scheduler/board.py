# SPDX-License-Identifier: Apache-2.0
"""What the scheduler knows of all backends, for its threads to share.

The board guards the placement index by one lock, under which nothing waits:
no database, no message bus, no log.

What a backend holds is counted by the database when the backend reports.
Placements of this scheduler that the database may not know yet stay beside
that number as *pending*, until a later count includes them.
"""

from collections.abc import Callable
from collections.abc import Iterable
import dataclasses
import itertools
import threading
import time

from cinder_tagged import features
from cinder_tagged import placement

#: Seconds after which the database knows a placement, where nobody says so.
SETTLE = 5.0
#: Seconds after which a placement that was never written is given up.
GIVE_UP = 60.0


@dataclasses.dataclass(slots=True, eq=False)
class _Placed:
    """A placement that the last count may have missed.

    :param written: tells whether the database has it; None if nobody can
    """

    size_gb: float
    at: float
    written: Callable[[], bool] | None

    def settled(self, now: float) -> bool:
        age = now - self.at
        if self.written is None:
            return age > SETTLE
        return age > GIVE_UP or self.written()


@dataclasses.dataclass(frozen=True, slots=True)
class Count:
    """A count of what a backend holds, about to be made.

    :param settled: placements that it is going to include
    """

    number: int
    settled: tuple[_Placed, ...]


class Board:
    """The placement index, and this scheduler's own recent placements."""

    def __init__(self, policy: placement.Policy,
                 clock: Callable[[], float] = time.monotonic):
        self._index = placement.PlacementIndex(policy)
        self._clock = clock
        self._lock = threading.Lock()
        self._placed: dict[str, list[_Placed]] = {}
        self._counts = itertools.count(1)
        self._counted: dict[str, int] = {}
        self._withdrawn: dict[str, str] = {}
        #: Grows whenever a backend comes or goes or has another feature.
        self.feature_changes = 0

    @property
    def policy(self) -> placement.Policy:
        return self._index.policy

    # -- keeping it current -------------------------------------------------

    @property
    def schedulers(self) -> int:
        """How many schedulers share the work."""
        return self._index.schedulers

    @schedulers.setter
    def schedulers(self, number: int) -> None:
        with self._lock:
            self._index.schedulers = number

    def begin_count(self, backend: str, by_database: bool = True) -> Count:
        """Note what a count that is made now is going to include.

        :param by_database: False for the volume service's own count, which
            comes some time after the database's
        """
        with self._lock:
            now = self._clock()
            return Count(next(self._counts), tuple(
                p for p in self._placed.get(backend, ())
                if (p.settled(now) if by_database else now - p.at > SETTLE)))

    def put(self, pool: placement.Pool, count: Count | None = None) -> None:
        """Take over what a backend reports.

        :param count: of which ``pool.allocated_gb`` is the result
        """
        name = pool.backend
        with self._lock:
            old = self._index.pools.get(name)
            if count is not None and self._counted.get(name, 0) < count.number:
                self._counted[name] = count.number
                self._placed[name] = [p for p in self._placed.get(name, ())
                                      if p not in count.settled]
            elif old is not None:
                pool.allocated_gb = old.allocated_gb
            pool.pending_gb = sum(p.size_gb
                                  for p in self._placed.get(name, ()))
            self._index.put(self._as_withdrawn(pool))
            if old is None or old.feature != pool.feature:
                self.feature_changes += 1

    def withdraw(self, backend: str, reason: str) -> None:
        """Offer nothing to a backend until it is restored."""
        with self._lock:
            self._withdrawn[backend] = reason
            pool = self._index.pools.get(backend)
            if pool is not None:
                self._index.put(self._as_withdrawn(pool))

    def restore(self, backend: str) -> None:
        """Undo :meth:`withdraw`; the next report brings the backend back."""
        with self._lock:
            self._withdrawn.pop(backend, None)

    def drop(self, backend: str) -> None:
        """Forget a backend."""
        with self._lock:
            self._index.drop(backend)
            self.feature_changes += 1
            for table in (self._placed, self._counted, self._withdrawn):
                table.pop(backend, None)  # type: ignore[attr-defined]

    def _as_withdrawn(self, pool: placement.Pool) -> placement.Pool:
        reason = self._withdrawn.get(pool.backend)
        if reason is None:
            return pool
        return dataclasses.replace(pool, up=False, down_reason=reason)

    def consume(self, backend: str, size_gb: float,
                written: Callable[[], bool] | None = None) -> None:
        """Count a placement of this scheduler."""
        with self._lock:
            if backend in self._index.pools:
                self._placed.setdefault(backend, []).append(
                    _Placed(size_gb, self._clock(), written))
                self._index.consume(backend, size_gb)

    def revert(self, backend: str, size_gb: float) -> None:
        """Take back a placement that failed there.

        Another scheduler may have made it. Then it stands in nobody's books
        here, unless the last count included it; not knowing, the room is
        left taken until the next count, rather than given twice.
        """
        with self._lock:
            placed = self._placed.get(backend, [])
            for at, each in enumerate(placed):
                if each.size_gb == size_gb:
                    del placed[at]
                    self._index.consume(backend, -size_gb)
                    return
            if self._index.schedulers > 1 or backend not in self._index.pools:
                return
            self._placed.setdefault(backend, []).append(
                _Placed(-size_gb, self._clock(), lambda: True))
            self._index.consume(backend, -size_gb)

    # -- asking ---------------------------------------------------------------

    def best(self, request: placement.Request, number: int) -> list[str]:
        """Return up to so many backends that accept, best first."""
        with self._lock:
            return [pool.backend for pool in itertools.islice(
                self._index.ranked(request), number)]

    def judge(self, request: placement.Request, backends: Iterable[str],
              ) -> dict[str, placement.Judgement]:
        """Judge the given backends; unknown ones are left out."""
        with self._lock:
            return {name: self._index.judge(request, name)
                    for name in backends if name in self._index.pools}

    def matching(self, request: placement.Request) -> int:
        """Count the backends whose tags match, full or down ones too."""
        with self._lock:
            return len(self._index.matching(request))

    def pools(self, backends: Iterable[str] | None = None,
              ) -> list[placement.Pool]:
        """Return copies of the given backends, or of all."""
        with self._lock:
            known = self._index.pools
            names = known if backends is None else backends
            return [dataclasses.replace(known[name]) for name in names
                    if name in known]

    def features(self) -> list[features.SecondLevelFeature]:
        """Return the features of all tagged backends, down ones too."""
        with self._lock:
            return [pool.feature for pool in self._index.pools.values()
                    if pool.feature]
