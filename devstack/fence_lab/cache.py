# SPDX-License-Identifier: Apache-2.0
"""What is built once: machines' images and saved states.

It is ``$XDG_CACHE_HOME/cinder-tagged/fence-lab``; a change of anything an
entry was made of makes a new one.
"""

from collections.abc import Callable
import fcntl
import logging
import os
from pathlib import Path
import shutil
import tempfile
import time
from typing import IO

from devstack.fence_lab import image
from devstack.sandbox.process import SandboxError

LOG = logging.getLogger(__name__)
# Another lab may be in the middle of its longest run.
WAIT_FOR_ANOTHER = 3600
UNUSED_S = 7 * 86400


class Cache:
    """The cache of this user; one lab at a time has it."""

    def __init__(self) -> None:
        base = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
        self.root = Path(base, 'cinder-tagged', 'fence-lab')
        self._lock: IO[str] | None = None

    def take_turn(self) -> None:
        """Wait until no other lab runs; :raises SandboxError: one does."""
        self.root.mkdir(parents=True, exist_ok=True)
        self._lock = open(self.root / 'lock', 'w')  # noqa: SIM115
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

    def close(self) -> None:
        """Let another lab have its turn."""
        if self._lock:
            self._lock.close()

    def image(self, recipe: image.Recipe) -> Path:
        """Return the directory of an image, built if there is none."""
        target = self.root / f'{recipe.name}-{image.fingerprint(recipe)}'
        self.ensure(target, lambda path: image.build(path, recipe))
        return target

    def ensure(self, target: Path, build: Callable[[Path], None]) -> None:
        """Build beside, then rename: a killed build leaves no half."""
        if target.exists():
            return
        began = time.monotonic()
        kind = target.name.split('-')[0]
        LOG.info('building the lab\'s %s, once', kind)
        for old in self.root.glob(f'{kind}-*'):
            if time.time() - old.stat().st_mtime > UNUSED_S:
                shutil.rmtree(old, ignore_errors=True)
        for left in self.root.glob('building-*'):
            shutil.rmtree(left, ignore_errors=True)
        scratch = Path(tempfile.mkdtemp(prefix='building-', dir=self.root))
        build(scratch)
        scratch.rename(target)
        LOG.info('%s built in %.0f s', kind, time.monotonic() - began)
