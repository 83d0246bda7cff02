# SPDX-License-Identifier: Apache-2.0
"""Network storage that is not on the SAN, reached over another cable."""

from pathlib import Path
import signal

from devstack.fence_lab.san import Namespace
from devstack.sandbox.guard import Guard
from devstack.sandbox.process import run
from devstack.sandbox.process import Service

ADDRESS = '10.77.0.1'
EXPORT = 'other'
SIZE_MB = 64


class NetworkDisk:
    """An NBD export, a stand-in for a device on a Ceph cluster."""

    def __init__(self, directory: Path, guard: Guard,
                 namespace: Namespace) -> None:
        self._namespace = namespace
        self._file = directory / 'beside.raw'
        self._server = Service(
            'nbd', directory, namespace.enter(
                ['qemu-nbd', '--persistent', '--export-name', EXPORT,
                 '--bind', ADDRESS, '--shared', '4', '--format', 'raw',
                 self._file]), guard, stop_signal=signal.SIGKILL)

    def start(self) -> None:
        with open(self._file, 'wb') as file:
            file.truncate(SIZE_MB << 20)
        self._server.start()
        self._server.wait_ready(lambda: run(
            self._namespace.enter(['ss', '-Hltn', 'sport', '=', ':10809']),
            timeout=30).strip())
