# SPDX-License-Identifier: Apache-2.0
"""Holding a lease while the copy goes on."""

from collections.abc import Callable
import logging
import threading
import time

import rados

from cinder_tagged.copy import errors
from cinder_tagged.copy.core.progress import Progress
from cinder_tagged.copy.core.record import Beat
from cinder_tagged.copy.lease import Lease
from cinder_tagged.copy.ledger import Ledger

LOG = logging.getLogger(__name__)


class Keeper(threading.Thread):
    """Renews a lease and leaves a beat, three times in each period.

    :param lost: called when the lease is gone, or could not be renewed
        for a whole period: from then on another may write in our place
    """

    def __init__(self, lease: Lease, ledger: Ledger, progress: Progress,
                 lost: Callable[[str], None]) -> None:
        super().__init__(name='lease', daemon=True)
        self._lease = lease
        self._ledger = ledger
        self._progress = progress
        self._lost = lost
        self._end = threading.Event()

    def run(self) -> None:
        """Renew until :meth:`stop`."""
        held_from, number = time.monotonic(), 0
        while not self._end.wait(self._lease.seconds / 3):
            asked, number = time.monotonic(), number + 1
            try:
                self._lease.renew()
                self._ledger.beat(
                    Beat(number, self._progress.done, self._progress.total),
                    self._lease)
                held_from = asked
            except errors.LeaseLost as exc:
                self._lost(f'the lease {exc} was lost')
                return
            except rados.Error as exc:
                LOG.warning('Lease %s not renewed: %s', self._lease.oid, exc)
            if time.monotonic() - held_from > self._lease.seconds:
                self._lost(f'the lease {self._lease.oid} ran out')
                return

    def stop(self) -> None:
        """Renew no more; returns when no renewal is under way."""
        self._end.set()
        if self.is_alive():
            self.join()
