# SPDX-License-Identifier: Apache-2.0
"""This process in the journal: its record, its sign of life, its end."""

from collections.abc import Callable
from collections.abc import Sequence
import os
import socket
import threading
import time
from typing import Any
import uuid

from oslo_config import cfg
from oslo_log import log as logging

from cinder_tagged.ceph import connection as ceph_connection
from cinder_tagged.resume import bus
from cinder_tagged.resume import database
from cinder_tagged.resume import ledger
from cinder_tagged.resume.core import health
from cinder_tagged.resume.journal import Fenced
from cinder_tagged.resume.journal import Incarnation
from cinder_tagged.resume.journal import Journal

CONF = cfg.CONF
LOG = logging.getLogger(__name__)

_EXIT = 75


def end_process(why: str) -> None:
    """End at once: nothing this process still holds may be carried out.

    The service manager starts it again, with a new record.
    """
    LOG.critical('This process was fenced and ends: %s', why)
    os._exit(_EXIT)


class Life:
    """One start of a service process, on record in the journal.

    :param watches: tell how this process sees what it depends on, beside
        the database and the message bus
    """

    def __init__(self, journal: Journal, kind: str, host: str,
                 queue: str | None,
                 watches: Sequence[Callable[[], health.Seen]] = ()):
        self.journal = journal
        self.kind = kind
        self.host = host
        self.queue = queue
        self.id = str(uuid.uuid4())
        self.sick_at: float | None = None
        self.was_sound = False
        self._bus = bus.BusWatch(CONF.resume.bus_deadline)
        self._watches = [*watches]
        if CONF.resume.bus_deadline:
            self._watches.append(self._bus.seen)
        self._clients: dict[str, list[str]] = {}
        self._lock = threading.Lock()

    def begin(self) -> None:
        """Go on record, fence what this start replaces, begin to beat."""
        now = time.time()
        older = [i for i in self.journal.incarnations()
                 if i.kind == self.kind and i.host == self.host
                 and i.fenced_at is None]
        self.journal.register(Incarnation(
            self.id, self.kind, self.host, self.queue, socket.gethostname(),
            os.getpid(), {}, now, now))
        database.install_fence(self.id, end_process)
        if database.shares_cinders_database():
            ledger.install()
        ceph_connection.observers.append(self._connected)
        for old in older:
            why = f'replaced by a new start of {self.kind} on {self.host}'
            if self.journal.fence(old.id, why):
                LOG.warning('Fenced the former %s of %s (process %s on %s, '
                            'last seen %.1f s ago): %s.', old.kind, old.host,
                            old.pid, old.node, now - old.seen_at, why)
        self._bus.start()
        threading.Thread(target=self._beat, daemon=True,
                         name='resume-beat').start()

    def _seen(self) -> health.Seen:
        return health.worst(watch() for watch in self._watches)

    def _beat(self) -> None:
        while True:
            try:
                self.sick_at, sound_at = self._seen()
                self.was_sound = self.was_sound or sound_at is not None
                self.journal.beat(self.id, self.sick_at, sound_at)
            except Fenced as fenced:
                end_process(str(fenced))
            except Exception:
                LOG.exception('No sign of life could be given.')
            time.sleep(CONF.resume.heartbeat)

    def confirm(self) -> None:
        """Return only if this process was not declared dead."""
        try:
            self.journal.beat(self.id, *self._seen())
        except Fenced as fenced:
            end_process(str(fenced))

    def peers(self) -> list[Incarnation]:
        """Return the other live services of this queue."""
        fresh = time.time() - 3 * CONF.resume.heartbeat
        return [i for i in self.journal.incarnations()
                if i.id != self.id and i.queue == self.queue
                and i.kind == self.kind and i.fenced_at is None
                and i.seen_at > fresh]

    def sound_peers(self) -> list[Incarnation]:
        """Return live services of this queue that miss nothing.

        Those count that have had an answer from all since this one has not.
        """
        return [i for i in self.peers() if i.sick_at is None
                and (i.sound_at or 0) > (self.sick_at or 0)]

    def _connected(self, client: Any) -> None:
        """Put a new Ceph client on record before it is used.

        :raises Fenced: this process may not write to clusters any more
        """
        address = client.get_addrs()
        with self._lock:
            known = self._clients.setdefault(client.get_fsid(), [])
            if address not in known:
                known.append(address)
            self.journal.clients(self.id, self._clients)
