# SPDX-License-Identifier: Apache-2.0
"""The SAN: one tgtd with two portals, two LUNs, in a network of its own.

The machines' user-mode networks reach it by 127.0.0.1 of the lab's network
namespace, so fixed ports (a saved machine remembers them) collide with
nobody's.
"""

from collections.abc import Sequence
from pathlib import Path
import signal

from devstack.sandbox.guard import Guard
from devstack.sandbox.process import run
from devstack.sandbox.process import SandboxError
from devstack.sandbox.process import Service

PORTS = (19001, 19002)
LUNS_MB = (320, 160)
IQN = 'iqn.2026-01.test.lab:san'
_CONTROL = '19001'


class Namespace:
    """Own network and mounts, alive as long as its holder process."""

    def __init__(self, directory: Path, guard: Guard) -> None:
        self._holder = Service(
            'namespace', directory, [
                'unshare', '--net', '--mount', 'sh', '-c',
                'mkdir -p /run/tgtd && mount -t tmpfs none /run/tgtd && '
                'ip link set lo up && ip addr add 10.77.0.1/32 dev lo && '
                'touch "$0" && exec sleep infinity',
                directory / 'namespace.up'], guard,
            stop_signal=signal.SIGKILL)
        self._mark = directory / 'namespace.up'

    def start(self) -> None:
        self._holder.start()
        self._holder.wait_ready(self._mark.exists)

    @property
    def pid(self) -> int | None:
        """A process inside."""
        return self._holder.pid

    def stop(self) -> None:
        self._holder.kill()

    def enter(self, argv: Sequence[str | Path]) -> list[str]:
        """Return the command, run inside."""
        return ['nsenter', '--target', str(self._holder.pid), '--net',
                '--mount', *map(str, argv)]


class San:
    def __init__(self, directory: Path, guard: Guard,
                 namespace: Namespace) -> None:
        self._namespace = namespace
        portals = ','.join(f'portal=127.0.0.1:{port}' for port in PORTS)
        self._directory = directory
        # tgtd ignores SIGTERM.
        self._daemon = Service(
            'tgtd', directory, namespace.enter(
                ['nice', '-n', '10', 'tgtd', '-f', '-C', _CONTROL,
                 '--iscsi', portals]),
            guard, stop_signal=signal.SIGKILL)

    def start(self) -> None:
        self._daemon.start()
        self._daemon.wait_ready(self._answers)
        self._admin('--op', 'new', '--mode', 'target', '--tid', '1',
                    '--targetname', IQN)
        for number, size in enumerate(LUNS_MB, 1):
            self.add_lun(number, size)
        self._admin('--op', 'bind', '--mode', 'target', '--tid', '1',
                    '--initiator-address', 'ALL')

    def add_lun(self, number: int, size_mb: int) -> None:
        path = self._directory / f'lun{number}.raw'
        if not path.exists():
            with open(path, 'wb') as file:
                file.truncate(size_mb << 20)
        self._admin('--op', 'new', '--mode', 'logicalunit', '--tid',
                    '1', '--lun', str(number), '-b', str(path))
        # One physical block per logical one, or the lock volume would want
        # leases of 8 MiB each.
        self._unit(number, 'lbppbe=0')

    def stop(self) -> None:
        self._daemon.kill()

    def lun_online(self, number: int, online: bool) -> None:
        """Let one LUN answer, or fail all its paths at once."""
        self._unit(number, f'online={int(online)}')

    def _unit(self, number: int, params: str) -> None:
        self._admin('--op', 'update', '--mode', 'logicalunit', '--tid', '1',
                    '--lun', str(number), '--params', params)

    def _answers(self) -> bool:
        try:
            self._admin('--op', 'show', '--mode', 'target')
        except SandboxError:
            return False
        return True

    def _admin(self, *words: str) -> None:
        run(self._namespace.enter(
            ['tgtadm', '-C', _CONTROL, '--lld', 'iscsi', *words]),
            timeout=30)
