# SPDX-License-Identifier: Apache-2.0
"""Cut the processes of one group off some ports, as a dead switch would."""

from collections.abc import Iterable
import subprocess
from types import TracebackType

from devstack.sandbox.process import run

_RULES = """\
add table inet {table} {{ flags owner; }}
add chain inet {table} out {{ type filter hook output priority 0; }}
add rule inet {table} out meta skgid {group} tcp dport {{ {ports} }} drop
"""


class Cut:
    """What a group sends to ports of this machine is dropped, unanswered.

    The kernel removes the rules when the process that made them ends, so
    that none outlives a killed test.

    :param group: numeric id of the group
    """

    def __init__(self, group: int, ports: Iterable[int]) -> None:
        self._owner = subprocess.Popen(
            ['nft', '-i'], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, text=True)
        assert self._owner.stdin is not None
        table = f'cinder_tagged_{group}'
        self._owner.stdin.write(_RULES.format(
            table=table, group=group, ports=', '.join(map(str, ports))))
        self._owner.stdin.flush()
        self._table = table

    @property
    def standing(self) -> bool:
        """Whether the kernel has the rules."""
        return f'table inet {self._table}\n' in run(['nft', 'list', 'tables'])

    def heal(self) -> None:
        """Take the rules away."""
        self._owner.kill()
        self._owner.wait(10)

    def __enter__(self) -> 'Cut':
        return self

    def __exit__(self, kind: type[BaseException] | None,
                 value: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.heal()
