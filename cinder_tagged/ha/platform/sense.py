# SPDX-License-Identifier: Apache-2.0
"""The periodic check of the block storage, and when its word runs out."""

from collections.abc import Callable
import dataclasses
import logging
import threading
import time
from typing import Any

from cinder_tagged.ha.platform import exceptions
from cinder_tagged.ha.platform.adapters import pool as pools
from cinder_tagged.ha.platform.core import record as rec

LOG = logging.getLogger(__name__)

#: Seconds between two looks whether the last check still counts.
LOOK = 0.05


@dataclasses.dataclass(frozen=True)
class Checked:
    """The last check that succeeded."""

    began: float = float('-inf')
    raw: str = ''
    record: rec.Record = dataclasses.field(default_factory=rec.Record)


class Checker:
    """Checks in a thread of its own; another one watches.

    A check counts for ``period + deadline`` from its *beginning*.

    :param report: what this server has to say to the others
    :param watch: called every LOOK seconds; must not block
    """

    def __init__(self, pool: pools.Pool, node: str, period: float,
                 deadline: float, report: Callable[[], dict[str, Any]],
                 watch: Callable[[], None]) -> None:
        self._pool, self._node = pool, node
        self._period, self._deadline = period, deadline
        self._report, self._watch = report, watch
        self.last = Checked()
        self.error = 'not checked yet'
        self._asked = threading.Event()
        self._ended = threading.Event()

    def start(self) -> None:
        for target in (self._check, self._look):
            threading.Thread(target=target, daemon=True,
                             name=f'platform {target.__name__}').start()

    def stop(self) -> None:
        self._ended.set()
        self._asked.set()

    @property
    def sound(self) -> bool:
        """Whether the last sound check still counts."""
        age = time.monotonic() - self.last.began
        return age < self._period + self._deadline

    def hurry(self) -> None:
        """Check now instead of at the end of the period."""
        self._asked.set()

    def saw(self, raw: str, record: rec.Record, began: float) -> None:
        """Take a record that was just written, as if checked."""
        self.last = Checked(began, raw, record)

    def _check(self) -> None:
        while not self._ended.is_set():
            began = time.monotonic()
            try:
                raw, record = self._pool.check(self._node, self._report())
                if began > self.last.began:
                    self.last = Checked(began, raw, record)
                if self.error:
                    LOG.info('The block storage answers')
                self.error = ''
            except Exception as exc:
                if not isinstance(exc, exceptions.PlatformError):
                    LOG.exception('The check failed in a way of its own')
                if str(exc) != self.error:
                    LOG.warning('The check of the block storage failed: %s',
                                exc)
                self.error = str(exc)
            self._asked.wait(self._period if not self.error
                             else min(self._period, 0.5))
            self._asked.clear()

    def _look(self) -> None:
        while not self._ended.wait(LOOK):
            try:
                self._watch()
            except Exception:
                # Without it nobody would kill a container in time.
                LOG.exception('A look failed')
