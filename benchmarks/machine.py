# SPDX-License-Identifier: Apache-2.0
"""How much of the machine others took while something was measured.

Work that keeps all cores busy suffers more from a neighbour than work that
uses one of them. Runs that were disturbed can so be told, and taken again.
"""

import os
from pathlib import Path
import time

_TICKS = os.sysconf('SC_CLK_TCK')


class Watch:
    """A stretch of time, from the making of this object on."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._busy, self._own = busy_s(), own_s()

    def disturbed(self) -> float:
        """Return the share of all cores that others had, from 0 to 1."""
        busy, own = busy_s() - self._busy, own_s() - self._own
        return max(0.0, busy - own) / (
            (time.monotonic() - self._began) * (os.cpu_count() or 1))


def busy_s() -> float:
    """Return the CPU seconds spent on this machine, stolen ones too."""
    with Path('/proc/stat').open() as file:
        user, nice, system, _idle, _io, irq, soft, stolen = map(
            int, file.readline().split()[1:9])
    return (user + nice + system + irq + soft + stolen) / _TICKS


def own_s() -> float:
    """Return the CPU seconds of this process and all below it."""
    parents, spent = {}, {}
    for stat in Path('/proc').glob('[0-9]*/stat'):
        try:
            fields = stat.read_text().rpartition(')')[2].split()
        except OSError:  # it ended
            continue
        pid = int(stat.parent.name)
        parents[pid] = int(fields[1])
        spent[pid] = sum(map(int, fields[11:15]))
    return sum(ticks for pid, ticks in spent.items()
               if _below(pid, parents)) / _TICKS


def _below(pid: int, parents: dict[int, int]) -> bool:
    while pid and pid != os.getpid():
        pid = parents.get(pid, 0)
    return bool(pid)
