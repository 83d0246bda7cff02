# SPDX-License-Identifier: Apache-2.0
"""Mapping the volume to a block device: three ways, one interface.

What is mapped is kept in a file, so that a later process can undo it.
"""

import abc
from collections.abc import Callable
import contextlib
import json
import math
import os
from pathlib import Path
import threading
import time
from typing import Any

from cinder_tagged.ha.platform import exceptions
from cinder_tagged.ha.platform.adapters import command
from cinder_tagged.ha.platform.adapters import process


class Mapper(abc.ABC):
    """Base of the three; ``state`` is what is kept in the file.

    :param directory: of this server, for this platform
    :param deadline: seconds for mapping
    :param kill: seconds for undoing it by force
    """

    #: whether it ends an I/O with an error that an OSD may still carry out
    gives_up = False

    def __init__(self, section: Any, directory: Path) -> None:
        self.conf, self.user = section.ceph_conf, section.ceph_user
        self.pool = section.pool
        self.deadline, self.kill = (section.start_deadline,
                                    section.kill_deadline)
        #: seconds after which the storage counts as lost
        self.patience = math.ceil(section.period + section.deadline)
        self.directory = directory
        self._file = directory / 'mapping.json'
        self.state: dict[str, Any] = {}
        with contextlib.suppress(OSError, ValueError):
            self.state = json.loads(self._file.read_text())

    def _keep(self, **state: Any) -> None:
        self.state = state
        if not state:
            self._file.unlink(missing_ok=True)
            return
        new = self._file.with_suffix('.new')
        new.write_text(json.dumps(state))
        new.replace(self._file)

    @property
    def device(self) -> str:
        """The block device, '' if nothing is mapped."""
        return str(self.state.get('device', ''))

    @property
    def mapped(self) -> bool:
        return bool(self.state)

    def _run(self, *argv: str, deadline: float = 0,
             cancel: threading.Event | None = None) -> str:
        return command.run(argv, deadline or self.deadline, cancel)[1].strip()

    def _rbd(self, *argv: str, cancel: threading.Event | None = None) -> str:
        return self._run('rbd', '-c', self.conf, '--id', self.user, *argv,
                         cancel=cancel)

    @abc.abstractmethod
    def map(self, image: str, cancel: threading.Event) -> None:
        """Map it; nothing is written yet."""

    def address(self) -> str:
        """The client's address if it is known here, else ''."""
        return ''

    @abc.abstractmethod
    def alive(self) -> bool:
        """Whether the client behind the device lives."""

    @abc.abstractmethod
    def cut(self) -> None:
        """End all writes at once."""

    def mounted(self) -> None:  # noqa: B027 - most have nothing to do
        """The device was mounted: have it go when it is unmounted."""

    @abc.abstractmethod
    def unmap(self) -> None:
        """Undo it, in order if possible."""

    def _await_end(self) -> None:
        """Give it a moment to end by itself."""
        end = time.monotonic() + self.kill
        while self.alive() and time.monotonic() < end:
            time.sleep(0.02)


class _Dead(threading.Event):
    """Set as soon as the kernel lets no I/O through to a device any more."""

    def __init__(self, device: Path) -> None:
        super().__init__()
        self._size = device / 'size'

    def is_set(self) -> bool:
        try:
            return int(self._size.read_text()) == 0
        except (OSError, ValueError):
            return True


class Krbd(Mapper):
    """The kernel's client.

    A number is no name: after a restart /dev/rbd0 may be another image. What
    is ours is told by pool, image and the client's id in its cluster.
    """

    devices, disks = Path('/sys/bus/rbd/devices'), Path('/sys/block')
    gives_up = True

    def map(self, image: str, cancel: threading.Event) -> None:
        # Kept before it starts, so that a half-done mapping is undone.
        self._keep(image=image, device='', client=[])
        # Without an end of its own an I/O that hangs would hold container,
        # mount and cut for as long as the cluster is away.  By then the
        # platform is being stopped; the kernel looks once per keepalive.
        device = self._rbd(
            'device', 'map', '-o',
            f'noshare,osd_request_timeout={self.patience},osdkeepalive=1',
            f'{self.pool}/{image}', cancel=cancel)
        client = self._client(self.devices
                              / device.removeprefix('/dev/rbd'))
        self._keep(image=image, device=device, client=client)

    @staticmethod
    def _client(entry: Path) -> list[str]:
        """Cluster and client's id; :raises OSError: it has gone."""
        return [(entry / name).read_text().strip()
                for name in ('cluster_fsid', 'client_id')]

    def _entry(self) -> Path | None:
        """What the kernel shows of our mapping, None if there is none."""
        if not self.state:
            return None
        wanted = [self.pool, self.state.get('image')]
        client = self.state.get('client')
        # The kernel has no such directory before its first mapping.
        for entry in (self.devices.iterdir() if self.devices.is_dir()
                      else ()):
            with contextlib.suppress(OSError):
                found = [(entry / name).read_text().strip()
                         for name in ('pool', 'name')]
                if found == wanted and (
                        not client or self._client(entry) == client):
                    return entry
        return None

    def address(self) -> str:
        entry = self._entry()
        return (entry / 'client_addr').read_text().strip() if entry else ''

    def alive(self) -> bool:
        return self._entry() is not None

    def cut(self) -> None:
        if entry := self._entry():
            name = f'rbd{entry.name}'
            # It would go on to hand the lock back, which a cluster that does
            # not answer never takes; broken off, it leaves that.
            with contextlib.suppress(exceptions.Cancelled):
                self._run('rbd', 'device', 'unmap', '-o', 'force',
                          f'/dev/{name}', deadline=self.kill,
                          cancel=_Dead(self.disks / name))

    def unmap(self) -> None:
        if entry := self._entry():
            try:
                self._run('rbd', 'device', 'unmap', f'/dev/rbd{entry.name}')
            except exceptions.ToolError:
                self.cut()
                self._await_end()
        if self.alive():
            raise exceptions.PlatformError(
                f'{self.state["image"]} is still mapped')
        self._keep()


class _Process(Mapper):
    """A mapper whose client is a process: killing it ends all writes."""

    tool = ''

    @abc.abstractmethod
    def _find(self) -> int:
        """Pid of the process that serves our image, 0 if none."""

    def _who(self) -> tuple[int, str]:
        pid, began = self.state.get('pid', 0), self.state.get('began', '')
        if not pid and self.state:
            pid = self._find()
            began = process.began(pid)
        return pid, began

    def alive(self) -> bool:
        return process.alive(*self._who())

    def cut(self) -> None:
        if not process.kill(*self._who(), self.kill):
            raise exceptions.PlatformError(f'{self.tool} survives SIGKILL')


class Nbd(_Process):
    """rbd-nbd; its process is the client."""

    tool = 'rbd-nbd'

    def map(self, image: str, cancel: threading.Event) -> None:
        # Kept before it starts, so that a half-done mapping is undone.
        self._keep(image=image, device='', pid=0, began='')
        device = self._rbd('device', 'map', '-t', 'nbd',
                           f'{self.pool}/{image}', cancel=cancel)
        pid = self._find()
        self._keep(image=image, device=device, pid=pid,
                   began=process.began(pid))
        if not self.alive():
            raise exceptions.PlatformError('rbd-nbd does not come up')

    def _find(self) -> int:
        wanted = (self.pool, self.state.get('image'))
        for item in json.loads(self._run(
                'rbd-nbd', 'list-mapped', '--format', 'json',
                deadline=self.kill) or '[]'):
            if (item['pool'], item['image']) == wanted:
                return int(item['id'])
        return 0

    def alive(self) -> bool:
        # Asked all the time: what would have to be looked for is not alive.
        return bool(self.state.get('pid')) and super().alive()

    def unmap(self) -> None:
        if self.alive():
            with contextlib.suppress(exceptions.ToolError):
                self._run('rbd-nbd', 'unmap', self.device)
        self._await_end()
        self.cut()
        self._keep()


class Fuse(_Process):
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


MAPPERS: dict[str, Callable[[Any, Path], Mapper]] = {
    'krbd': Krbd, 'nbd': Nbd, 'fuse': Fuse}
