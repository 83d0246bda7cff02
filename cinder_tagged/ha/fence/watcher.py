# SPDX-License-Identifier: Apache-2.0
"""Watch paths and leases, and fence what is lost.

An agent embeds this: ``Watcher(...).poll()`` once per interval from any
thread, or ``watch(stop)`` in a thread of its own.
"""

from collections.abc import Callable
from collections.abc import Sequence
import threading

from oslo_log import log as logging

from cinder_tagged.ha.fence import exceptions
from cinder_tagged.ha.fence.core import facts as raw
from cinder_tagged.ha.fence.core import watching
from cinder_tagged.ha.fence.core.assess import assess
from cinder_tagged.ha.fence.core.model import Order
from cinder_tagged.ha.fence.fencer import Fencer
from cinder_tagged.ha.fence.node import Node

LOG = logging.getLogger(__name__)

# While a run is at work its tools come first: look less often.
CALM = 5
# Seconds for which locks and leases are taken as read.  Tables and paths
# are looked at each time, without a process; a lease is too old only after
# many of these.
LOCKS_KEPT = 5.0


class Watcher:
    """``groups``: names to watch; empty for all that are found.

    ``recover_after``: seconds with all paths back before a fenced group is
    recovered; None leaves that to an operator.
    """

    def __init__(self, node: Node, fencer: Fencer,
                 groups: Sequence[str] = (), grace: float = 5.0,
                 interval: float = 1.0,
                 recover_after: float | None = None) -> None:
        self._node = node
        self._fencer = fencer
        self._groups = tuple(groups)
        self._grace = grace
        self._interval = interval
        self._recover_after = recover_after
        self._suspicions: dict[str, watching.Suspicion | None] = {}
        self._sound_since: dict[str, float] = {}
        self._busy: dict[str, threading.Thread] = {}
        self._known: raw.Facts | None = None
        self._known_at = 0.0

    def poll(self) -> tuple[Order, ...]:
        """Look once; return the orders that are due now."""
        return self._orders(self._look())

    def _look(self) -> raw.Facts:
        now = self._node.clock()
        if self._known and now - self._known_at < LOCKS_KEPT:
            return self._node.facts(quick=True, known=self._known)
        self._known = self._node.facts(quick=True)
        self._known_at = now
        return self._known

    def _orders(self, facts: raw.Facts) -> tuple[Order, ...]:
        now = self._node.clock()
        due = []
        for vg in self._groups or raw.groups(facts):
            view = raw.view_of(facts, vg, self._fencer.record(vg))
            before = self._suspicions.get(vg)
            suspicion = watching.suspect(view, now, before)
            self._suspicions[vg] = suspicion
            if suspicion and not before:
                # Read locks anew: from now on they cannot change.
                self._known = None
                LOG.warning('%s: %s; fencing in %.0f s unless it comes '
                            'back', vg, assess(view).reason, self._grace)
            elif before and not suspicion:
                LOG.warning('%s: %s', vg, assess(view).reason)
            order = watching.order_for(view, now, suspicion, self._grace)
            if order:
                due.append(order)
            self._track_recovery(vg, now, suspicion is None)
        return tuple(due)

    def _track_recovery(self, vg: str, now: float, sound: bool) -> None:
        if sound:
            self._sound_since.setdefault(vg, now)
        else:
            self._sound_since.pop(vg, None)

    def recoverable(self) -> tuple[str, ...]:
        """Return the fenced groups whose storage has been back enough."""
        if self._recover_after is None:
            return ()
        now = self._node.clock()
        return tuple(
            vg for vg in self._fencer.fenced()
            if now - self._sound_since.get(vg, now) >= self._recover_after)

    def watch(self, stop: threading.Event) -> None:
        """Poll and act until told to stop; a group in work is left out."""
        self._guard('cleaning', self._fencer.clean)
        while not stop.is_set():
            self._guard('a look at the node', self._round)
            stop.wait(self._rest())

    def _rest(self) -> float:
        if self._working():
            self._known = None
            return self._interval * CALM
        return watching.time_left(
            self._suspicions.values(), self._node.clock(), self._grace,
            self._interval)

    def _working(self) -> bool:
        return any(thread.is_alive() for thread in self._busy.values())

    def _round(self) -> None:
        facts = self._look()
        for order in self._orders(facts):
            self._known = None  # the run changes locks
            self._start(order.vg, lambda o=order: self._fencer.run(
                o, known=facts))
        for vg in self.recoverable():
            self._sound_since.pop(vg, None)
            self._start(vg, lambda v=vg: self._fencer.recover(v))

    def _start(self, vg: str, work: Callable[[], object]) -> None:
        """One thread per group: a group that hangs delays no other."""
        running = self._busy.get(vg)
        if running and running.is_alive():
            return
        thread = threading.Thread(
            target=self._guard, args=(vg, work), name=f'fence-{vg}',
            daemon=True)
        self._busy[vg] = thread
        thread.start()

    def _guard(self, what: str, work: Callable[[], object]) -> None:
        try:
            work()
        except (exceptions.FenceError, OSError) as error:
            LOG.error('%s: %s', what, error)
