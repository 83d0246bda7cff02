# SPDX-License-Identifier: Apache-2.0
"""Chores that may wait for a database or a message bus.

The thread that watches a cluster must not wait with them.
"""

from collections.abc import Callable
import logging
import threading

LOG = logging.getLogger(__name__)


class Aside:
    """Runs each chore on a thread of its own, once at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[str] = set()

    def run(self, chore: str, work: Callable[[], object]) -> bool:
        """Start a chore.

        :returns: False if the one before has not ended yet
        """
        with self._lock:
            if chore in self._running:
                return False
            self._running.add(chore)
        threading.Thread(target=self._do, args=(chore, work), daemon=True,
                         name=f'aside-{chore}').start()
        return True

    def _do(self, chore: str, work: Callable[[], object]) -> None:
        try:
            work()
        except Exception:
            LOG.exception('Not done this time: %s', chore)
        finally:
            with self._lock:
                self._running.discard(chore)
