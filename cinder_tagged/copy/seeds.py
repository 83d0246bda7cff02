# SPDX-License-Identifier: Apache-2.0
"""One seed per image and pool, for everybody who wants to clone it.

Any number of threads, processes and hosts may ask for the same seed at
once. Within a process they queue up; between processes the lease on the
cluster decides who copies, and the others wait for the record.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
import contextlib
import dataclasses
import logging
import threading
import time
from typing import Any
import weakref

from cinder_tagged.copy import errors
from cinder_tagged.copy import launcher
from cinder_tagged.copy import lease as lease_mod
from cinder_tagged.copy import ledger as ledger_mod
from cinder_tagged.copy import spec
from cinder_tagged.copy import target as target_mod
from cinder_tagged.copy.core import decision
from cinder_tagged.copy.core import record as record_mod
from cinder_tagged.copy.core.record import Record
from cinder_tagged.copy.core.record import State
from cinder_tagged.copy.pump import Flow

LOG = logging.getLogger(__name__)

_POLL_S = 0.3
_REPORT_S = 10.0

#: Gives a connected client and an I/O context of the pool, for a moment.
Access = Callable[[], contextlib.AbstractContextManager[tuple[Any, Any]]]


@dataclasses.dataclass(frozen=True, slots=True)
class Original:
    """The image that a seed is made of.

    :param image: Glance's id
    :param digest: of its data, '' when unknown
    :param source: where it is in RBD; None if it is not
    :param data: gives its bytes if it is not in RBD
    :param size: number of these bytes
    :param limit: virtual size in bytes that can be used, 0: any
    """

    image: str
    digest: str = ''
    source: spec.RbdImage | None = None
    data: Callable[[], Iterable[bytes]] | None = None
    size: int = 0
    format: spec.Format = spec.Format.RAW
    limit: int = 0

    @property
    def origin(self) -> str:
        """Where the bytes come from, for people."""
        if self.source is None:
            return f'glance://{self.image}'
        where = self.source
        return (f'rbd:{where.place.identity}/{where.place.pool}/'
                f'{where.image}@{where.snapshot or ""}')


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """How seeds are kept.

    :param wait_s: seconds to wait for a copy that another one makes
    :param limit: bytes that the seeds of the pool may take; 0: any number
    """

    wait_s: float = 3600.0
    limit: int = 0
    lease_s: int = 15
    order: int = 22
    flow: Flow = dataclasses.field(default_factory=Flow)


class _Turn:
    """A queue for one target within this process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.failed_at = float('-inf')
        self.error: errors.CopyError | None = None


_turns: 'weakref.WeakValueDictionary[object, _Turn]' = (
    weakref.WeakValueDictionary())
_turns_lock = threading.Lock()


class Seeds:
    """The seeds of one pool.

    :param access: see :data:`Access`; for short operations only
    """

    def __init__(self, place: spec.Place, access: Access,
                 settings: Settings) -> None:
        self.place = place
        self._access = access
        self._settings = settings

    def ensure(self, original: Original) -> Record:
        """Return the record of an intact seed, made now if need be.

        :raises CopyError: there is none, and it could not be made, or not
            be waited for
        """
        target = record_mod.seed_name(original.image)
        record, _held = self._look(target, original.digest)
        if record is not None:
            return record
        asked = time.monotonic()
        with self._turn(target) as turn:
            if turn.error is not None and turn.failed_at > asked:
                # It failed while we queued for it. Ours would fail alike.
                raise turn.error
            try:
                return self._ensure(target, original, asked)
            except errors.CopyError as exc:
                turn.error, turn.failed_at = exc, time.monotonic()
                raise

    @contextlib.contextmanager
    def _turn(self, target: str) -> Iterator[_Turn]:
        key = (self.place.identity.conf, self.place.pool, target)
        with _turns_lock:
            turn = _turns.get(key)
            if turn is None:
                turn = _turns[key] = _Turn()
        if not turn.lock.acquire(timeout=self._settings.wait_s):
            raise errors.CopyStalled(
                f'{target}: not there after {self._settings.wait_s:g} s')
        try:
            yield turn
        finally:
            turn.lock.release()

    def _look(self, target: str,
              digest: str) -> tuple[Record | None, bool]:
        """Return the record of an intact seed, or whether one is made."""
        with self._access() as (_client, ioctx):
            record = ledger_mod.Ledger(ioctx).read(target).record
            found = None
            if record is not None and record.state == State.READY:
                found = target_mod.look(ioctx, target,
                                        record_mod.SEED_SNAPSHOT)
            if decision.intact(record, found, digest):
                return record, False
            return None, lease_mod.held(ioctx, ledger_mod.oid(target))

    def _ensure(self, target: str, original: Original,
                asked: float) -> Record:
        reported = asked
        while True:
            record, held = self._look(target, original.digest)
            if record is not None:
                return record
            if not held:
                # Only a try: who takes the lease first makes it.
                with contextlib.suppress(errors.LeaseHeld):
                    return self._make(target, original)
            now = time.monotonic()
            if now - asked > self._settings.wait_s:
                raise errors.CopyStalled(
                    f'{target}: another host copies it, and it is not there '
                    f'after {self._settings.wait_s:g} s')
            if now - reported > _REPORT_S:
                reported = now
                self._report(target)
            time.sleep(_POLL_S)

    def _report(self, target: str) -> None:
        with self._access() as (_client, ioctx):
            entry = ledger_mod.Ledger(ioctx).read(target)
        if entry.record is not None and entry.beat is not None:
            LOG.info('Waiting for %(target)s: %(host)s has copied %(done)d '
                     'of %(total)d MiB.', {
                         'target': target, 'host': entry.record.copier.host,
                         'done': entry.beat.done >> 20,
                         'total': entry.beat.total >> 20})

    # -- making -------------------------------------------------------------

    def _make(self, target: str, original: Original) -> Record:
        try:
            return self._copy(target, original)
        except errors.NoRoom as exc:
            self.sweep(need=exc.need, keep=target)
            return self._copy(target, original)

    def _copy(self, target: str, original: Original) -> Record:
        settings = self._settings
        job = spec.Job(
            target, self.place, original.origin, digest=original.digest,
            source=original.source, size=original.size,
            format=original.format, snapshot=record_mod.SEED_SNAPSHOT,
            order=settings.order, lease_s=settings.lease_s,
            limit=original.limit, room=self._room(), replace=True,
            flow=settings.flow)
        data = None
        if original.source is None and original.data is not None:
            data = original.data()
        began = time.monotonic()
        LOG.info('Copying %(origin)s to %(pool)s/%(target)s.', {
            'origin': original.origin, 'pool': self.place.pool,
            'target': target})
        record = launcher.copy(job, data, launcher.Reporter(target))
        LOG.info('%(target)s is complete: %(size)d bytes, %(stored)d stored, '
                 '%(seconds).1f s.', {
                     'target': target, 'size': record.size,
                     'stored': record.stored,
                     'seconds': time.monotonic() - began})
        return record

    def _room(self) -> int | None:
        """Return how many bytes a further seed may take."""
        if not self._settings.limit:
            return None
        taken = sum(record.stored for record, _used in self.all())
        return max(0, self._settings.limit - taken)

    # -- keeping ------------------------------------------------------------

    def used(self, record: Record) -> None:
        """Note that a seed was cloned just now."""
        with self._access() as (_client, ioctx):
            ledger_mod.Ledger(ioctx).touch(record.target, time.time())

    def all(self) -> list[tuple[Record, float]]:
        """Return the records of the seeds, and when each was used last."""
        found = []
        with self._access() as (_client, ioctx):
            ledger = ledger_mod.Ledger(ioctx)
            for target in filter(record_mod.is_seed, ledger.targets()):
                entry = ledger.read(target)
                if entry.record is not None:
                    found.append((entry.record, entry.used))
        return found

    def sweep(self, *, gone: Iterable[str] = (), idle_s: float = 0,
              need: int = 0, keep: str = '') -> spec.Swept:
        """Tidy up.

        :param gone: Glance images that exist no more
        :param idle_s: seeds unused for so long go; 0: none
        :param need: bytes to make room for, under the limit
        :param keep: a target that stays
        :raises CopyError: the pool cannot be reached
        """
        limit = self._settings.limit
        return launcher.sweep(spec.Chore(
            self.place, tuple(gone), idle_s=idle_s,
            limit=max(0, limit - need) if limit else None, keep=keep,
            lease_s=self._settings.lease_s))
