# SPDX-License-Identifier: Apache-2.0
"""Tidying up a pool: orphans of dead copiers, seeds that nobody wants."""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import logging
import socket
import time
from typing import Any
import uuid

import rados
import rbd

from cinder_tagged.copy import errors
from cinder_tagged.copy import fence
from cinder_tagged.copy import target as target_mod
from cinder_tagged.copy.copier import opened
from cinder_tagged.copy.copier import SCRATCH
from cinder_tagged.copy.core import decision
from cinder_tagged.copy.core import eviction
from cinder_tagged.copy.core import record as record_mod
from cinder_tagged.copy.core.decision import Fate
from cinder_tagged.copy.core.progress import Progress
from cinder_tagged.copy.core.record import Record
from cinder_tagged.copy.core.record import SEED_PREFIX
from cinder_tagged.copy.core.record import SEED_SNAPSHOT
from cinder_tagged.copy.core.record import State
from cinder_tagged.copy.keeper import Keeper
from cinder_tagged.copy.lease import Lease
from cinder_tagged.copy.ledger import Ledger
from cinder_tagged.copy.ledger import oid
from cinder_tagged.copy.spec import Chore
from cinder_tagged.copy.spec import Swept

LOG = logging.getLogger(__name__)


class Sweeper:
    """One sweep.

    Any number of hosts may sweep a pool at once: the lease of each copy
    keeps them out of each other's way.

    :param lost: called, from another thread, when this process must write
        no more
    """

    def __init__(self, chore: Chore, lost: Callable[[str], None]) -> None:
        self._chore = chore
        self._lost = lost
        self._orphans: list[str] = []
        self._removed: list[str] = []
        self._kept: list[str] = []
        self._forgotten: list[str] = []

    def run(self) -> Swept:
        """Sweep; one copy that fails does not hold up the others."""
        with opened(self._chore.place) as (client, ioctx):
            ledger = Ledger(ioctx)
            seeds = []
            for target in ledger.targets():
                with self._tolerant(target):
                    seeds += self._visit(client, ioctx, ledger, target)
            self._evict(client, ioctx, seeds)
            trash = target_mod.empty_trash(ioctx, SEED_PREFIX)
        return Swept(tuple(self._orphans), tuple(self._removed),
                     tuple(self._kept), tuple(self._forgotten), trash)

    @contextlib.contextmanager
    def _tolerant(self, target: str) -> Iterator[None]:
        try:
            yield
        except errors.LeaseHeld:
            LOG.debug('%s is being worked on.', target)
        except (errors.CopyError, rados.Error, rbd.Error) as exc:
            LOG.warning('%(target)s is left for the next sweep: %(exc)s',
                        {'target': target, 'exc': exc})

    def _visit(self, client: Any, ioctx: Any, ledger: Ledger,
               target: str) -> list[eviction.Candidate]:
        """Deal with one copy; return it if it is a seed that stays."""
        entry = ledger.read(target)
        record = entry.record
        if record is None or record.state != State.READY or (
                record_mod.image_of(target) in self._chore.gone
                or not record_mod.is_seed(target)):
            self._end(client, ioctx, target)
            return []
        return [eviction.Candidate(target, record.stored,
                                   max(entry.used, record.began))]

    def _evict(self, client: Any, ioctx: Any,
               seeds: list[eviction.Candidate]) -> None:
        """Remove idle seeds, then as many as the limit asks for."""
        for seed in eviction.idle(seeds, time.time(), self._chore.idle_s):
            with self._tolerant(seed.target):
                if self._end(client, ioctx, seed.target):
                    seeds.remove(seed)
        if self._chore.limit is None:
            return
        excess = sum(seed.stored for seed in seeds) - self._chore.limit
        for seed in eviction.least_recently_used(seeds, self._chore.keep):
            if excess <= 0:
                return
            with self._tolerant(seed.target):
                if self._end(client, ioctx, seed.target):
                    excess -= seed.stored

    def _end(self, client: Any, ioctx: Any, target: str) -> bool:
        """Do with an unwanted copy what its fate is; True if it went.

        :raises LeaseHeld: it is being worked on
        """
        lease = Lease(ioctx, oid(target), str(uuid.uuid4()),
                      socket.gethostname(), self._chore.lease_s)
        ledger = Ledger(ioctx)
        lease.take()
        keeper = Keeper(lease, ledger, Progress(time.monotonic()),
                        self._lost)
        keeper.start()
        try:
            return self._decide(client, ioctx, ledger, lease, target)
        finally:
            keeper.stop()
            with contextlib.suppress(rados.Error):
                lease.release()

    def _decide(self, client: Any, ioctx: Any, ledger: Ledger, lease: Lease,
                target: str) -> bool:
        record = ledger.read(target).record
        if record is None:
            # A copier died, or gave up, before it had done anything.
            ledger.forget(target, lease)
            return False
        fate = self._fate(ioctx, record)
        if fate == Fate.REMOVE and record.state != State.COPYING:
            # From here on nobody begins to clone it. Who began before
            # shows in the second look.
            record = record.in_state(State.DROPPING)
            ledger.write(record, lease)
            fate = self._fate(ioctx, record)
        if fate == Fate.KEEP:
            if record.state == State.DROPPING:
                ledger.write(record.in_state(State.READY), lease)
            self._kept.append(target)
            return False
        if fate == Fate.FORGET:
            ledger.forget(target, lease)
            self._forgotten.append(target)
            return False
        self._remove(client, ioctx, record)
        ledger.forget(target, lease)
        return True

    def _fate(self, ioctx: Any, record: Record) -> Fate:
        return decision.fate(
            record, dropped=record.target in self._chore.drop,
            clones=target_mod.clones(ioctx, record.target, SEED_SNAPSHOT),
            age_s=time.time() - record.began,
            grace_s=self._chore.grace_s)

    def _remove(self, client: Any, ioctx: Any, record: Record) -> None:
        orphan = record.state == State.COPYING
        if orphan:
            fence.shut_out(client, ioctx, record,
                           (record.target, record.target + SCRATCH))
            target_mod.remove(ioctx, record.target + SCRATCH)
        target_mod.remove(ioctx, record.target)
        (self._orphans if orphan else self._removed).append(record.target)
        LOG.info('Removed %(target)s (%(state)s, from %(origin)s, %(stored)d '
                 'bytes).', {'target': record.target, 'state': record.state,
                             'origin': record.origin,
                             'stored': record.stored})
