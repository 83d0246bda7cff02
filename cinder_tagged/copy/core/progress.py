# SPDX-License-Identifier: Apache-2.0
"""How far a copy is, how fast it goes, and when to say so."""

import dataclasses

MiB = 1 << 20


@dataclasses.dataclass(slots=True)
class Progress:
    """Counts of one copy; the caller brings the clock.

    :param began: when the copy began, by a monotonic clock
    :param total: bytes to look at, 0 while unknown
    :param interval: seconds between two reports
    """

    began: float
    total: int = 0
    interval: float = 5.0
    done: int = 0
    written: int = 0
    _reported: float = dataclasses.field(default=0.0)

    def add(self, done: int, written: int) -> None:
        """Count one portion: bytes looked at, and bytes written."""
        self.done += done
        self.written += written

    def due(self, now: float) -> bool:
        """Tell, at most once an interval, that it is time for a report."""
        if now - max(self._reported, self.began) < self.interval:
            return False
        self._reported = now
        return True

    def text(self, now: float) -> str:
        """Return a sentence for a log."""
        seconds = max(now - self.began, 1e-9)
        rate = self.done / seconds
        known = ''
        if self.total:
            left = max(0, self.total - self.done)
            known = (f' of {self.total // MiB} MiB '
                     f'({100 * self.done // self.total} %, '
                     f'{left / rate if rate else 0:.0f} s left)')
        return (f'{self.done // MiB} MiB{known}, {self.written // MiB} MiB '
                f'written, {rate / MiB:.0f} MiB/s')
