# SPDX-License-Identifier: Apache-2.0
"""Looks for work that was left behind, and has it done again.

Runs in every scheduler and volume service: each takes what belongs to its
own queue, a few at a time, so that a dead node's work spreads over those who
live.
"""

from concurrent import futures
import dataclasses
import threading
import time
from typing import Any
from typing import Protocol

from oslo_config import cfg
from oslo_log import log as logging

from cinder_tagged.resume import claims
from cinder_tagged.resume import fence
from cinder_tagged.resume import ledger
from cinder_tagged.resume import work
from cinder_tagged.resume.core import decide as decide_mod
from cinder_tagged.resume.core.decide import State
from cinder_tagged.resume.core.decide import Verdict
from cinder_tagged.resume.core.operations import OPERATIONS
from cinder_tagged.resume.incarnation import Life
from cinder_tagged.resume.journal import Entry
from cinder_tagged.resume.journal import REMEMBER

CONF = cfg.CONF
LOG = logging.getLogger(__name__)

#: The bus goes on sending to a frozen service until it misses its heartbeat.
#: For so many seconds after a death a message counts as lost when nobody has
#: claimed it for LATE_S.
HEEDED_S = 120.0
LATE_S = 2.0


class Worker(Protocol):
    """What a service offers: to do one entry again."""

    state: State

    def redo(self, entry: Entry, resource: Any) -> None:
        """Do the work of an entry that is claimed; raise if it failed."""

    def reach(self, fsid: str, use: Any) -> None:
        """Use a client of a cluster; LookupError if there is no way."""


class Resumer:
    """The loop of one service process."""

    def __init__(self, life: Life, worker: Worker):
        self._life = life
        self._worker = worker
        self._pool = futures.ThreadPoolExecutor(
            CONF.resume.concurrency, thread_name_prefix='resume')
        self._busy: set[int] = set()
        self._lock = threading.Lock()
        #: When a service of this queue was last cut off: what had been
        #: sent by then may have been in its hands.
        self._last_death = 0.0

    def start(self) -> None:
        threading.Thread(target=self._loop, daemon=True,
                         name='resume-look').start()

    def _loop(self) -> None:
        while True:
            try:
                self.bury()
                self.look()
            except Exception:
                LOG.exception('The journal could not be looked through.')
            time.sleep(CONF.resume.poll)

    def bury(self) -> None:
        """Fence who gives no sign of life; cut off who is fenced."""
        journal = self._life.journal
        self._step_aside()
        gone = []
        for other in journal.incarnations():
            if other.id == self._life.id:
                continue
            if other.cut_at is not None:
                if other.cut_at < time.time() - REMEMBER:
                    gone.append(other.id)
                if (other.kind, other.queue) == (self._life.kind,
                                                 self._life.queue):
                    self._last_death = max(self._last_death, other.cut_at)
                continue
            silent = time.time() - other.seen_at
            limit = CONF.resume.dead_after
            if other.fenced_at is None and limit and silent > limit:
                why = f'no sign of life for {silent:.1f} s'
                journal.fence(other.id, why)
                other = dataclasses.replace(other, why=why)
            elif other.fenced_at is None:
                continue
            fence.cut(journal, other, self._worker.reach)
        if gone:
            journal.forget(gone)

    def _step_aside(self) -> None:
        """End if cluster and bus answer others, but this process no more.

        One that never reached it has nothing in flight: it stays, and leaves
        messages to others.
        """
        life = self._life
        if not life.sick_at or not life.was_sound:
            return
        peers = life.sound_peers()
        if peers:
            life.journal.fence(
                life.id, 'its cluster or the message bus answers '
                f'{peers[0].host}, but not this service')

    def look(self) -> None:
        """Take what can be taken, up to the number of free hands."""
        free = CONF.resume.concurrency - len(self._busy)
        if free <= 0:
            return
        now = time.time()
        recent = now - self._last_death < HEEDED_S
        lost_before = now - (min(CONF.resume.lost_after, LATE_S) if recent
                             else CONF.resume.lost_after)
        lost_before = max(lost_before, self._last_death)
        entries = self._life.journal.left_behind(
            lost_before, free + len(self._busy), self._life.queue)
        for entry in entries:
            if entry.id not in self._busy:
                self._judge(entry, entry.changed_at < lost_before)

    def _judge(self, entry: Entry, lost: bool) -> None:
        resource = claims.find(OPERATIONS[entry.method], entry.resource_id)
        decision = decide_mod.decide(
            decide_mod.Facts(
                OPERATIONS[entry.method], entry.state,
                owner_fenced=entry.owner is not None,
                lost=lost, attempts=entry.attempts,
                status=resource.status if resource else None,
                image_status=(work.image_status(entry) if resource
                              else None)),
            max_attempts=CONF.resume.max_attempts)
        if decision.verdict is Verdict.LEAVE:
            return
        if not self._life.journal.take_over(
                entry, self._life.id, self._worker.state, self._life.queue):
            return  # another was quicker
        with self._lock:
            self._busy.add(entry.id)
        self._pool.submit(self._settle, entry, resource, decision)

    def _count(self, entry: Entry, outcome: str) -> None:
        self._life.journal.count(entry.method, outcome,
                                 time.time() - entry.created_at)

    def _settle(self, entry: Entry, resource: Any,
                decision: decide_mod.Decision) -> None:
        try:
            ledger.settle(self._life.journal, entry.id,
                          gone=resource is None)
            if decision.verdict is Verdict.REDO:
                LOG.warning('Doing %s of %s again (begun %d times before): '
                            '%s.', entry.method, entry.resource_id,
                            entry.attempts + (entry.owner is not None),
                            decision.reason)
                self._worker.redo(entry, resource)
                self._count(entry, 'resumed')
                LOG.info('%s of %s was resumed %.1f s after it was asked '
                         'for.', entry.method, entry.resource_id,
                         time.time() - entry.created_at)
            elif decision.verdict is Verdict.FAIL:
                work.give_up(entry, resource, decision.reason)
                self._count(entry, 'failed')
                self._life.journal.close(entry.id, self._life.id)
            else:
                if decision.verdict is Verdict.FINISH:
                    work.finish_upload(resource)
                    self._count(entry, 'resumed')
                work.settle_carried(entry, resource)
                LOG.info('%s of %s has ended: %s.', entry.method,
                         entry.resource_id, decision.reason)
                self._life.journal.close(entry.id, self._life.id)
        except Exception:
            LOG.exception('%s of %s could not be resumed now.', entry.method,
                          entry.resource_id)
            self._life.journal.put_back(entry.id, self._life.id,
                                        self._life.queue)
        finally:
            with self._lock:
                self._busy.discard(entry.id)
