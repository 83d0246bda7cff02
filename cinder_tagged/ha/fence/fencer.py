# SPDX-License-Identifier: Apache-2.0
"""Carry a decision out: look, decide, do what is next, look again."""

from collections.abc import Mapping
from collections.abc import Sequence
import contextlib
from dataclasses import dataclass
from dataclasses import field
from dataclasses import replace
import functools

from oslo_log import log as logging

from cinder_tagged.ha.fence import exceptions
from cinder_tagged.ha.fence.adapters.records import RecordStore
from cinder_tagged.ha.fence.core import facts as raw
from cinder_tagged.ha.fence.core import fencing
from cinder_tagged.ha.fence.core import record as records
from cinder_tagged.ha.fence.core import recovery
from cinder_tagged.ha.fence.core import watching
from cinder_tagged.ha.fence.core.assess import assess
from cinder_tagged.ha.fence.core.model import FenceRecord
from cinder_tagged.ha.fence.core.model import Order
from cinder_tagged.ha.fence.core.model import VgView
from cinder_tagged.ha.fence.core.plan import plan
from cinder_tagged.ha.fence.node import Node

LOG = logging.getLogger(__name__)


@dataclass
class Report:
    """``steps``: (seconds since the start, step, evidence or error)."""

    vg: str
    outcome: str = ''
    ok: bool = False
    seconds: float = 0.0
    steps: list[tuple[float, str, str]] = field(default_factory=list)


class Fencer:
    """Fences and recovers volume groups of one node."""

    def __init__(self, node: Node, store: RecordStore,
                 run_deadline: float) -> None:
        self._node = node
        self._store = store
        self._run_deadline = run_deadline

    def groups(self) -> tuple[str, ...]:
        return raw.groups(self._node.facts(quick=True))

    def view(self, vg: str) -> VgView:
        return raw.view_of(self._node.facts(), vg, self.record(vg))

    def record(self, vg: str) -> FenceRecord | None:
        """Return the record; a broken one is worse than none, so none."""
        try:
            return self._store.load(vg)
        except exceptions.Unreadable as error:
            LOG.error('%s; going on without it', error)
            return None

    def order(self, vg: str, forced: bool = False) -> Order:
        """Return the order that the group's present state calls for."""
        verdict = assess(self.view(vg))
        if verdict.scope is None:
            return Order(vg, forced=forced, reason=verdict.reason)
        return Order(vg, verdict.scope, forced=forced,
                     reason=verdict.reason)

    def plan(self, order: Order) -> tuple[fencing.Step, ...]:
        return plan(self.view(order.vg), order)

    def run(self, order: Order, deadline: float | None = None,
            known: raw.Facts | None = None) -> Report:
        """Fence until the kernel shows it done.

        ``known``: facts read a moment ago; their locks and leases will do.
        Raises Busy when another run keeps the group; FenceError when the
        deadline passes first, saying what is left.
        """
        limit = deadline or self._run_deadline
        start = self._node.clock()
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(
                    self._store.locked(order.vg, limit / 2))
            except (exceptions.Busy, OSError) as error:
                if order.drop:
                    raise
                # As kill command there is no second chance; every step
                # can be done twice.
                LOG.error('%s; going on beside it', error)
            return self._run(order, start, start + limit, known)

    def _run(self, order: Order, start: float, end: float,
             known: raw.Facts | None) -> Report:
        LOG.warning('fencing %s (%s): %s', order.vg, order.scope.value,
                    order.reason or 'asked for')
        report = Report(order.vg)
        tries: Mapping[str, int] = {}
        record = self.record(order.vg)
        while True:
            # A kill command has no time for a tool that tells no more.
            quick = bool(tries) or not order.drop
            facts = self._look(order.vg, end, quick, known)
            view = raw.view_of(facts, order.vg, record)
            order = watching.escalate(view, order)
            steps = fencing.next_steps(view, order, tries)
            if isinstance(steps[0], fencing.Finished):
                self._note(report, start, steps[0], _evidence(view))
                return self._finish(report, view, order, record, steps[0])
            record = self._remember(view, order, record)
            self._do_all(report, start, steps, end)
            again = any(tries.get(step.key) for step in steps)
            if again:
                self._node.pause()
            tries = fencing.count(tries, *steps)
            # While tables change as they should, locks and leases do not.
            cutting = isinstance(
                steps[0], fencing.DisableQueueing | fencing.Wipe)
            known = facts if cutting and not again else None

    def _look(self, vg: str, end: float, quick: bool,
              known: raw.Facts | None = None) -> raw.Facts:
        while True:
            try:
                return self._node.facts(quick, known)
            except exceptions.FenceError as error:
                LOG.error('%s: cannot see its state: %s', vg, error)
                if self._node.clock() >= end:
                    raise
                self._node.pause()

    def _remember(self, view: VgView, order: Order,
                  before: FenceRecord | None) -> FenceRecord:
        record = records.remember(view, order, before)
        if record != before:
            try:
                self._store.save(record)
            except OSError as error:
                LOG.error('%s: no record for the way back: %s',
                          view.vg, error)
        return record

    def _do_all(self, report: Report, start: float,
                steps: Sequence[fencing.Step], end: float) -> None:
        left = end - self._node.clock()
        if left <= 0:
            raise exceptions.FenceError(
                f'{report.vg}: deadline passed before: '
                + '; '.join(map(str, steps)))
        answers = self._node.at_once(
            [functools.partial(self._do, step, left) for step in steps])
        for step, said in zip(steps, answers, strict=True):
            self._note(report, start, step, said)

    def _do(self, step: fencing.Step | recovery.RecoveryStep,
            left: float) -> str:
        """Do a step; return the error's text, '' when it went well."""
        try:
            self._node.perform(step, left)
        except exceptions.HeldElsewhere:
            raise
        except (exceptions.FenceError, OSError) as error:
            return str(error)
        return ''

    def _note(self, report: Report, start: float, step: object,
              said: str) -> None:
        at = self._node.clock() - start
        report.steps.append((round(at, 2), str(step), said))
        LOG.warning('%s +%.2f s: %s%s', report.vg, at, step,
                    f' [{said}]' if said else '')

    def _finish(self, report: Report, view: VgView, order: Order,
                record: FenceRecord | None,
                step: fencing.Finished) -> Report:
        if step.outcome is fencing.Outcome.SOUND:
            self._stand_down(record)
        else:
            record = self._remember(view, order, record)
            paused = self._node.settle(view)
            with contextlib.suppress(OSError):
                self._store.save(records.finished(record, paused))
        report.outcome = step.outcome.value
        report.ok = step.outcome is not fencing.Outcome.STUCK
        report.seconds = report.steps[-1][0]
        return report

    def _stand_down(self, record: FenceRecord | None) -> None:
        """Paths came back before anything was cut: undo, forget."""
        if record is None or record.finished:
            return
        for name, wwid in record.queueing.items():
            try:
                self._node.perform(
                    recovery.RestoreQueueing(name, wwid),
                    self._run_deadline)
            except exceptions.FenceError as error:
                LOG.error('%s: %s', name, error)
        self._store.clear(record.vg)

    def recover(self, vg: str) -> tuple[Report, recovery.Recovered]:
        """Take the locks again and restore what this node got.

        Raises NotFenced without a record, Busy beside another run.
        """
        with self._store.locked(vg, self._run_deadline):
            record = self.record(vg)
            if record is None:
                raise exceptions.NotFenced(f'{vg} is not fenced here')
            return self._recover(vg, record)

    def _recover(self, vg: str, record: FenceRecord,
                 ) -> tuple[Report, recovery.Recovered]:
        report = Report(vg)
        start = self._node.clock()
        tries: Mapping[str, int] = {}
        taken: frozenset[str] = frozenset()
        while True:
            view = raw.view_of(
                self._look(vg, start + self._run_deadline, quick=True),
                vg, record)
            step = recovery.next_step(view, record, tries, taken)
            if isinstance(step, recovery.Recovered):
                self._note(report, start, step, _evidence(view))
                self._close(report, record, step, taken)
                report.seconds = report.steps[-1][0]
                return report, step
            try:
                self._note(report, start, step,
                           self._do(step, float('inf')))
            except exceptions.HeldElsewhere as error:
                self._note(report, start, step, str(error))
                if isinstance(step, recovery.Activate):
                    taken |= {step.uuid}
            tries = fencing.count(tries, step)
            if tries[step.key] > 1:
                self._node.pause()

    def _close(self, report: Report, record: FenceRecord,
               end: recovery.Recovered, taken: frozenset[str]) -> None:
        """Resume guests only when all their volumes may be written."""
        report.outcome = end.result.value
        report.ok = end.result in (recovery.Result.RECOVERED,
                                   recovery.Result.IN_PART)
        if not report.ok:
            return
        if taken:
            LOG.warning('%s: %s stay on error targets, another node has '
                        'their locks; paused guests are left paused',
                        report.vg, ', '.join(end.taken))
            self._store.save(replace(record, queueing={}, volumes=tuple(
                v for v in record.volumes if v.uuid in taken)))
            return
        self._node.resume(record.paused)
        self._store.clear(report.vg)

    def clean(self) -> None:
        """Forget what a reset left behind in multipath's configuration."""
        kept = [self.record(vg) for vg in self._store.groups()]
        self._node.clean(frozenset(
            wwid for r in kept if r for wwid in r.queueing.values()))

    def fenced(self) -> tuple[str, ...]:
        return self._store.groups()


def _evidence(view: VgView) -> str:
    cut = sum(v.isolated for v in view.volumes)
    maps = ', '.join(
        f'{m.name} {"lost" if m.lost else "has paths"}'
        f'{", queueing" if m.queueing else ""}' for m in view.maps)
    lease = f'{view.lease.age:.0f} s old' if view.lease else 'none'
    locks = 'none' if view.locks is None else f'{len(view.locks)} on LVs'
    return (f'{cut} of {len(view.volumes)} tables on error; '
            f'maps: {maps or "none"}; locks: {locks}; lease: {lease}')
