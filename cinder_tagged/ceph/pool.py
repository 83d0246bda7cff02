# SPDX-License-Identifier: Apache-2.0
"""A bounded set of connections that callers share.

librados clients may be used by many threads at once, so nobody waits for a
free connection: when all are busy and there are as many as allowed, the
least busy one is shared. A caller may therefore hold one connection and ask
for another, as Cinder's RBD driver does, without any risk of a deadlock.
"""

from collections.abc import Callable
from concurrent import futures
import dataclasses
import logging
import threading
import time
from typing import Any

import rados

from cinder_tagged.ceph import connection
from cinder_tagged.ceph import errors

LOG = logging.getLogger(__name__)

Open = Callable[[connection.Identity], Any]

# An object that every RBD pool has; any answer about it will do.
_CHECK_OBJECT = 'rbd_info'
# Longer than connecting can take; only a fault of ours gets here.
_GRACE_S = 5


@dataclasses.dataclass(eq=False, slots=True)
class _Slot:
    """One connection, how many use it, and when it last proved itself."""

    identity: connection.Identity
    client: Any
    proved: float
    used: float
    users: int = 0
    retired: bool = False


class ConnectionPool:
    """Connections by identity: opened on demand, checked, given up.

    :param limit: how many connections each identity may have
    :param check_after_s: a connection that proved itself longer ago than
        this is asked for a sign of life before it is handed out
    :param idle_s: a connection unused for so long is closed by
        :meth:`reap`; the last one of an identity is kept
    """

    def __init__(self, limit: int, *, check_after_s: float = 1.0,
                 idle_s: float = 300.0,
                 native: connection.Native = connection.unchanged,
                 open_client: Open | None = None,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._check_after_s = check_after_s
        self._idle_s = idle_s
        self._native = native
        self._open = open_client or (
            lambda identity: connection.open_client(identity, native))
        self._clock = clock
        self._lock = threading.Lock()
        self._slots: list[_Slot] = []
        self._opening: dict[connection.Identity, futures.Future[None]] = {}

    # -- what callers use ---------------------------------------------------

    def acquire(self, identity: connection.Identity,
                pool: str) -> tuple[Any, Any]:
        """Return a live client and an I/O context of ``pool`` on it.

        :raises ClusterUnreachable: no answer in time
        :raises ClusterRefused: the cluster, or a local file, says no
        """
        while True:
            slot = self._take(identity)
            try:
                ioctx = connection.open_ioctx(slot.client, pool)
                if self._alive(slot, ioctx):
                    return slot.client, ioctx
                ioctx.close()
            except errors.ClusterRefused:
                self._give_back(slot, retire=False)
                raise
            except BaseException:
                self._give_back(slot, retire=True)
                raise
            self._give_back(slot, retire=True)

    def release(self, client: Any, ioctx: Any, *,
                broken: bool = False) -> None:
        """Give back what :meth:`acquire` returned.

        :param broken: the connection showed that it is of no more use
        """
        ioctx.close()
        with self._lock:
            slot = next((s for s in self._slots if s.client is client), None)
        if slot is None:
            raise ValueError('this connection is not of this pool')
        self._give_back(slot, retire=broken)

    def distrust(self) -> None:
        """Have every connection prove itself before its next use."""
        with self._lock:
            for slot in self._slots:
                slot.proved = float('-inf')

    def reap(self) -> int:
        """Close connections idle for too long; return how many."""
        limit = self._clock() - self._idle_s
        with self._lock:
            idle = []
            for slot in self._slots:
                others = [s for s in self._slots
                          if s.identity == slot.identity
                          and s is not slot and s not in idle]
                if not slot.users and slot.used < limit and others:
                    idle.append(slot)
            for slot in idle:
                self._slots.remove(slot)
        for slot in idle:
            slot.client.shutdown()
        return len(idle)

    def close(self) -> None:
        """Close what is not in use; the rest closes when given back."""
        with self._lock:
            for slot in self._slots:
                slot.retired = True
            idle = [slot for slot in self._slots if not slot.users]
            self._slots = [slot for slot in self._slots if slot.users]
        for slot in idle:
            slot.client.shutdown()

    def __len__(self) -> int:
        with self._lock:
            return len(self._slots)

    # -- how it is done -----------------------------------------------------

    def _take(self, identity: connection.Identity) -> _Slot:
        """Choose a connection, opening one if that is due.

        Only one opens at a time. Who has nothing to share meanwhile waits
        for its outcome, so that a dead cluster costs each caller one
        timeout and not one per caller before it.
        """
        while True:
            with self._lock:
                live = [s for s in self._slots
                        if s.identity == identity and not s.retired]
                opening = self._opening.get(identity)
                room = len(live) < self._limit and opening is None
                chosen = min(live, key=lambda s: (s.users, -s.used),
                             default=None)
                if chosen and (not chosen.users or not room):
                    chosen.users += 1
                    chosen.used = self._clock()
                    return chosen
                if opening is None:
                    opening = futures.Future()
                    self._opening[identity] = opening
                    break
            limit = identity.timeouts.mount + _GRACE_S
            try:
                opening.result(limit)
            except futures.TimeoutError as exc:
                raise errors.ClusterUnreachable(
                    f'no connection within {limit} s') from exc
        return self._open_slot(identity, opening)

    def _open_slot(self, identity: connection.Identity,
                   opening: 'futures.Future[None]') -> _Slot:
        """Open, and tell those who wait how it went."""
        try:
            client = self._open(identity)
        except BaseException as exc:
            with self._lock:
                del self._opening[identity]
            opening.set_exception(exc)
            raise
        now = self._clock()
        slot = _Slot(identity, client, proved=float('-inf'), used=now,
                     users=1)
        with self._lock:
            self._slots.append(slot)
            del self._opening[identity]
        opening.set_result(None)
        LOG.debug('Connected %s.', identity)
        return slot

    def _alive(self, slot: _Slot, ioctx: Any) -> bool:
        """Ask the cluster a small question over this connection.

        :raises ClusterUnreachable: the cluster did not answer in time, and
            another connection would fare no better
        """
        if self._clock() - slot.proved <= self._check_after_s:
            return True
        try:
            self._native(ioctx).stat(_CHECK_OBJECT)
        except errors.FENCED as exc:
            LOG.warning('The connection %s was shut down by the cluster '
                        '(%s); another one takes its place.',
                        slot.identity, exc)
            return False
        except errors.GAVE_UP as exc:
            ioctx.close()
            raise errors.ClusterUnreachable(str(exc)) from exc
        except rados.Error:
            # Not there, not allowed: an answer all the same.
            pass
        slot.proved = self._clock()
        return True

    def _give_back(self, slot: _Slot, *, retire: bool) -> None:
        with self._lock:
            slot.users -= 1
            slot.retired = slot.retired or retire
            last = slot.retired and not slot.users
            if last and slot in self._slots:
                self._slots.remove(slot)
        if last:
            LOG.debug('Closing %s.', slot.identity)
            slot.client.shutdown()
