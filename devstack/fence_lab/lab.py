# SPDX-License-Identifier: Apache-2.0
"""A started lab: two nodes, a SAN, from the cache or built into it.

    with Lab() as lab:
        lab.one.cut_san()

The cache is ``$XDG_CACHE_HOME/cinder-tagged/fence-lab``; a change of
anything it was made of makes a new one.  One lab runs at a time per cache.
"""

import fcntl
import hashlib
import importlib.util
import io
import logging
import os
from pathlib import Path
import py_compile
import shutil
import tarfile
import tempfile
import time
from types import TracebackType
from typing import IO

from devstack.fence_lab import image
from devstack.fence_lab import prepare
from devstack.fence_lab.beside import NetworkDisk
from devstack.fence_lab.machine import each
from devstack.fence_lab.machine import Machine
from devstack.fence_lab.san import Namespace
from devstack.fence_lab.san import San
from devstack.sandbox.guard import Guard
from devstack.sandbox.process import run
from devstack.sandbox.process import SandboxError
from devstack.sandbox.process import wait_until

LOG = logging.getLogger(__name__)
REPOSITORY = Path(__file__).resolve().parents[2]
TOOLS = Path(__file__).with_name('tools')
# sanlock's default; shorter ones fail when the host is busy.
IO_TIMEOUT = 10
SAVED = 'ready'
OTHER_MB = 64
# Another lab may be in the middle of its longest run.
WAIT_FOR_ANOTHER = 3600


def cache_root() -> Path:
    base = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
    return Path(base, 'cinder-tagged', 'fence-lab')


class Lab:
    """``io_timeout``: sanlock's, seconds; every timer follows from it."""

    def __init__(self, io_timeout: int = IO_TIMEOUT) -> None:
        self.io_timeout = io_timeout
        self._root = cache_root()
        self._lock: IO[str] | None = None
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
        self._take_turn()
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

    def _take_turn(self) -> None:
        self._root.mkdir(parents=True, exist_ok=True)
        self._lock = open(self._root / 'lock', 'w')  # noqa: SIM115
        end = time.monotonic() + WAIT_FOR_ANOTHER
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > end:
                    raise SandboxError(
                        'another lab keeps running') from None
                time.sleep(1)

    # the cache

    def _image_dir(self) -> Path:
        return self._root / f'image-{image.fingerprint()}'

    def _saved_dir(self) -> Path:
        digest = hashlib.sha256(image.fingerprint().encode())
        for name in ('prepare.py', 'san.py', 'machine.py'):
            digest.update(Path(__file__).with_name(name).read_bytes())
        return self._root / (f'saved-{digest.hexdigest()[:16]}'
                             f'-io{self.io_timeout}')

    def _ensure_saved(self) -> None:
        if not self._image_dir().exists():
            self._fill(self._image_dir(), image.build)
        if not self._saved_dir().exists():
            self._fill(self._saved_dir(), self._save)

    def _fill(self, target: Path, build: object) -> None:
        """Build beside, then rename: a killed build leaves no half."""
        began = time.monotonic()
        kind = target.name.split('-')[0]
        LOG.info('building the lab\'s %s, once', kind)
        for old in self._root.glob(f'{kind}-*'):
            if time.time() - old.stat().st_mtime > 7 * 86400:
                shutil.rmtree(old, ignore_errors=True)
        for left in self._root.glob('building-*'):
            shutil.rmtree(left, ignore_errors=True)
        scratch = Path(tempfile.mkdtemp(prefix='building-', dir=self._root))
        assert callable(build)
        build(scratch)
        scratch.rename(target)
        LOG.info('%s built in %.0f s', kind, time.monotonic() - began)

    def _save(self, target: Path) -> None:
        for number in (1, 2):
            run(['qemu-img', 'create', '-q', '-f', 'qcow2', '-F', 'qcow2',
                 '-b', self._image_dir() / 'base.qcow2',
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
            Machine(number, self._image_dir(), directory, directory,
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
        if self._lock:
            self._lock.close()

    def install(self) -> None:
        """Put this tree's fencing, and the tests' tools, on both nodes."""
        archive = _archive()
        for node in self.nodes:
            node.put('/tmp/code.tar', archive)
            node.sh('mkdir -p /lab/code && tar -C /lab/code '
                    '-xf /tmp/code.tar', deadline=200)
            node.put('/usr/local/bin/cinder-tagged-fence', _SCRIPT, 0o755)
            for tool in sorted(TOOLS.glob('*.py')):
                node.put(f'/lab/{tool.name}', tool.read_bytes())


_SCRIPT = b"""#!/bin/sh
export PYTHONPATH=/lab/code:/lab/deps
exec python3 -m cinder_tagged.ha.fence.cli "$@"
"""


def _archive() -> bytes:
    """Return the fencing's code, compiled: the machines are slow at it."""
    buffer = io.BytesIO()
    root = REPOSITORY / 'cinder_tagged'
    sources = [root / '__init__.py', root / 'ha/__init__.py',
               *sorted(root.glob('ha/fence/**/*.py'))]
    with tempfile.TemporaryDirectory() as scratch, \
            tarfile.open(fileobj=buffer, mode='w') as tar:
        for source in sources:
            inside = source.relative_to(REPOSITORY)
            tar.add(source, str(inside))
            cached = importlib.util.cache_from_source(str(inside))
            compiled = py_compile.compile(
                str(source), cfile=f'{scratch}/compiled.pyc', doraise=True,
                dfile=f'/lab/code/{inside}',
                invalidation_mode=image.UNCHECKED)
            tar.add(str(compiled), cached)
    return buffer.getvalue()
