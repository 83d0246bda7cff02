# SPDX-License-Identifier: Apache-2.0
"""This process in the journal: its record, its sign of life, its end."""

import os
import socket
import threading
import time
from typing import Any
import uuid

from oslo_log import log as logging

from cinder_tagged.ceph import connection as ceph_connection
from cinder_tagged.resume import database
from cinder_tagged.resume.journal import Fenced
from cinder_tagged.resume.journal import Incarnation
from cinder_tagged.resume.journal import Journal

LOG = logging.getLogger(__name__)

#: Seconds between two signs of life.
BEAT = 1.0
_EXIT = 75


def end_process(why: str) -> None:
    """End at once: nothing this process still holds may be carried out.

    The service manager starts it again, with a new record.
    """
    LOG.critical('This process was fenced and ends: %s', why)
    os._exit(_EXIT)


class Life:
    """One start of a service process, on record in the journal."""

    def __init__(self, journal: Journal, kind: str, host: str,
                 queue: str | None):
        self.journal = journal
        self.kind = kind
        self.host = host
        self.queue = queue
        self.id = str(uuid.uuid4())
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
        ceph_connection.observers.append(self._connected)
        for old in older:
            why = f'replaced by a new start of {self.kind} on {self.host}'
            if self.journal.fence(old.id, why):
                LOG.warning('Fenced the former %s of %s (process %s on %s, '
                            'last seen %.1f s ago): %s.', old.kind, old.host,
                            old.pid, old.node, now - old.seen_at, why)
        threading.Thread(target=self._beat, daemon=True,
                         name='resume-beat').start()

    def _beat(self) -> None:
        while True:
            try:
                self.journal.beat(self.id)
            except Fenced as fenced:
                end_process(str(fenced))
            except Exception:
                LOG.exception('No sign of life could be given.')
            time.sleep(BEAT)

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
