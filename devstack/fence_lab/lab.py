# SPDX-License-Identifier: Apache-2.0
"""A started lab: two nodes, a SAN, from the cache or built into it.

    with Lab() as lab:
        lab.one.cut_san()

One lab runs at a time per cache.
"""

import hashlib
from pathlib import Path
import shutil
import tempfile
from types import TracebackType

from devstack.fence_lab import code
from devstack.fence_lab import image
from devstack.fence_lab import prepare
from devstack.fence_lab.beside import NetworkDisk
from devstack.fence_lab.cache import Cache
from devstack.fence_lab.machine import each
from devstack.fence_lab.machine import Machine
from devstack.fence_lab.san import Namespace
from devstack.fence_lab.san import San
from devstack.sandbox.guard import Guard
from devstack.sandbox.process import run
from devstack.sandbox.process import wait_until

TOOLS = Path(__file__).with_name('tools')
# sanlock's default; shorter ones fail when the host is busy.
IO_TIMEOUT = 10
SAVED = 'ready'
OTHER_MB = 64


class Lab:
    """``io_timeout``: sanlock's, seconds; every timer follows from it."""

    def __init__(self, io_timeout: int = IO_TIMEOUT) -> None:
        self.io_timeout = io_timeout
        self._cache = Cache()
        self._guard: Guard | None = None
        self._namespace: Namespace | None = None
        self.san: San | None = None
        self.nodes: list[Machine] = []

    @property
    def one(self) -> Machine:
        return self.nodes[0]

    @property
    def two(self) -> Machine:
        return self.nodes[1]

    def __enter__(self) -> 'Lab':
        self.open()
        return self

    def open(self) -> None:
        """Start from the saved state, building it first if need be."""
        self._cache.take_turn()
        try:
            self._ensure_saved()
            self._restore(self._saved_dir(), SAVED)
        except BaseException:
            self.close()
            raise

    def __exit__(self, kind: type[BaseException] | None,
                 error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    # the cache

    def _saved_dir(self) -> Path:
        digest = hashlib.sha256(image.fingerprint().encode())
        for name in ('prepare.py', 'san.py', 'machine.py'):
            digest.update(Path(__file__).with_name(name).read_bytes())
        return self._cache.root / (f'saved-{digest.hexdigest()[:16]}'
                             f'-io{self.io_timeout}')

    def _ensure_saved(self) -> None:
        self._image = self._cache.image(image.FENCE)
        self._cache.ensure(self._saved_dir(), self._save)

    def _save(self, target: Path) -> None:
        for number in (1, 2):
            run(['qemu-img', 'create', '-q', '-f', 'qcow2', '-F', 'qcow2',
                 '-b', self._image / 'base.qcow2',
                 target / f'node{number}-root.qcow2'])
            run(['qemu-img', 'create', '-q', '-f', 'qcow2',
                 target / f'node{number}-other.qcow2', f'{OTHER_MB}M'])
        try:
            self._start(target, '')
            each(self.nodes, lambda node: node.wait_up())
            prepare.prepare(self.nodes, self.io_timeout)
            each(self.nodes, lambda node: node.pause())
            each(self.nodes, lambda node: node.save(SAVED))
        finally:
            self._halt()

    # running

    def _restore(self, saved: Path, state: str) -> None:
        work = Path(tempfile.mkdtemp(prefix='cinder-tagged-fence-lab-'))
        for path in saved.iterdir():
            if path.is_file() and path.suffix in ('.qcow2', '.raw'):
                run(['cp', '--sparse=always', path, work])
        self._start(work, state)
        each(self.nodes, lambda node: node.resume())
        self._wait_paths()

    def _start(self, directory: Path, state: str) -> None:
        self._guard = Guard(remove=(directory,) if state else ())
        self._guard.watch()
        self._directory = directory
        self._remove = bool(state)
        self._namespace = Namespace(directory, self._guard)
        self._namespace.start()
        self.san = San(directory, self._guard, self._namespace)
        self.san.start()
        NetworkDisk(directory, self._guard, self._namespace).start()
        self.nodes = [
            Machine(number, self._image, directory, directory,
                    self._guard, self._namespace) for number in (1, 2)]
        each(self.nodes, lambda node: node.start(state))

    def _wait_paths(self) -> None:
        """The saved machines' connections are gone; they log in anew."""
        for node in self.nodes:
            wait_until(
                lambda n=node: prepare.paths(n) == {'san1': 2, 'san2': 2},
                120, f'paths of node{node.number}', interval=0.5)

    def _halt(self) -> None:
        for node in self.nodes:
            node.stop()
        self.nodes = []
        if self._guard:
            self._guard.close()
            self._guard = None

    def close(self) -> None:
        self._halt()
        if getattr(self, '_remove', False):
            shutil.rmtree(self._directory, ignore_errors=True)
        self._cache.close()

    def install(self) -> None:
        """Put this tree's fencing, and the tests' tools, on both nodes."""
        archive = code.archive('ha/fence/**/*.py')
        for node in self.nodes:
            code.unpack(node, archive)
            node.put('/usr/local/bin/cinder-tagged-fence', _SCRIPT, 0o755)
            for tool in sorted(TOOLS.glob('*.py')):
                node.put(f'/lab/{tool.name}', tool.read_bytes())


_SCRIPT = b"""#!/bin/sh
export PYTHONPATH=/lab/code:/lab/deps
exec python3 -m cinder_tagged.ha.fence.cli "$@"
"""
