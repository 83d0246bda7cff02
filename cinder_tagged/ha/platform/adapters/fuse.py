# SPDX-License-Identifier: Apache-2.0
"""Mapping by rbd-fuse and a loop device."""

import contextlib
import os
from pathlib import Path
import threading

from cinder_tagged.ha.platform import exceptions
from cinder_tagged.ha.platform.adapters import mapping
from cinder_tagged.ha.platform.adapters import process


class Fuse(mapping.ProcessMapper):
    """rbd-fuse shows the image as a file, a loop device makes it a disk."""

    tool = 'rbd-fuse'

    @property
    def _files(self) -> Path:
        return self.directory / 'fuse'

    def map(self, image: str, cancel: threading.Event) -> None:
        self._files.mkdir(exist_ok=True)
        # Kept before it starts, so that a half-done mapping is undone.
        self._keep(pid=0, began='', device='')
        # It goes into the background by itself; Ceph's options, which are
        # read first, would take -f away from FUSE's.
        self._run('rbd-fuse', '-c', self.conf, '-p', self.pool, '-r', image,
                  '--id', self.user, '--rbd_cache=false', str(self._files),
                  cancel=cancel)
        pid = self._find()
        self._keep(pid=pid, began=process.began(pid), device='')
        if not self.alive() or not os.path.ismount(self._files):
            raise exceptions.PlatformError('rbd-fuse does not come up')
        device = self._run('losetup', '-f', '--show',
                           str(self._files / image), cancel=cancel)
        self._keep(**{**self.state, 'device': device})
        self._keep(**{**self.state, 'backing': self._backing()})

    def _find(self) -> int:
        wanted = os.fsencode(self._files)
        for entry in Path('/proc').iterdir():
            if not entry.name.isdigit():
                continue
            with contextlib.suppress(OSError):
                words = (entry / 'cmdline').read_bytes().split(b'\0')
                if words[0] == b'rbd-fuse' and wanted in words and (
                        process.began(int(entry.name))):
                    return int(entry.name)
        return 0

    def mounted(self) -> None:
        self._run('losetup', '-d', self.device)  # when it is unmounted

    def _backing(self) -> str:
        with contextlib.suppress(OSError):
            return Path('/sys/block', os.path.basename(self.device),
                        'loop/backing_file').read_text().strip()
        return ''

    def unmap(self) -> None:
        if self.device and self._backing() == self.state.get('backing', '-'):
            with contextlib.suppress(exceptions.ToolError):
                self._run('losetup', '-d', self.device)
        if self.alive():
            with contextlib.suppress(exceptions.ToolError):
                self._run('umount', str(self._files), deadline=self.kill)
            self._await_end()
        self.cut()
        with contextlib.suppress(exceptions.ToolError):
            self._run('umount', '-l', str(self._files))
        self._keep()
