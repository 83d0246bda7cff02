# SPDX-License-Identifier: Apache-2.0
"""File system and mount of the mapped volume."""

import os
from pathlib import Path
import threading

from cinder_tagged.ha.platform import exceptions
from cinder_tagged.ha.platform.adapters import command
from cinder_tagged.ha.platform.core import filesystem
from cinder_tagged.ha.platform.core import model as m

#: blkid's exit status if it finds nothing.
_NOTHING = 2


def look(device: str, deadline: float,
         cancel: threading.Event) -> dict[str, str] | None:
    """Fields that blkid finds by probing; None if it is not sure."""
    try:
        status, out = command.run(
            ['blkid', '-p', '-o', 'export', device], deadline, cancel,
            ok=(0, _NOTHING))
    except exceptions.ToolError:
        return None
    if status == _NOTHING:
        # So says blkid of a device that it cannot read as well.
        try:
            _read(device)
        except OSError:
            return None
        return {}
    found = dict(line.split('=', 1) for line in out.splitlines()
                 if '=' in line)
    found.pop('DEVNAME', None)
    return found


def _read(device: str) -> None:
    descriptor = os.open(device, os.O_RDONLY)
    try:
        os.pread(descriptor, 4096, 0)
    finally:
        os.close(descriptor)


def make(device: str, deadline: float, cancel: threading.Event) -> None:
    """Format it."""
    command.run(['mkfs.ext4', '-q', '-F', '-E', 'nodiscard', device],
                deadline, cancel)


def check(device: str, policy: str, deadline: float,
          cancel: threading.Event) -> m.FileSystem:
    """Check it, and repair what ``policy`` allows."""
    switch = '-y' if policy == 'repair' else '-p'
    status, _ = command.run(['e2fsck', switch, device], deadline, cancel,
                            ok=tuple(range(256)))
    return filesystem.after_check(status)


def mount(device: str, target: Path, deadline: float,
          cancel: threading.Event) -> None:
    target.mkdir(parents=True, exist_ok=True)
    command.run(['mount', '-t', filesystem.OURS, '-o',
                 'errors=remount-ro,nodev,nosuid', device, str(target)],
                deadline, cancel)


def state(target: Path) -> m.Mount:
    """What the kernel says of the mount, without touching the device."""
    wanted = str(target).replace(' ', r'\040')
    found = m.Mount.NO
    with open('/proc/self/mounts') as source:
        for line in source:
            fields = line.split(' ')
            if fields[1] == wanted:
                read_only = {'ro', 'shutdown', 'emergency_ro'}
                found = (m.Mount.READ_ONLY
                         if read_only & set(fields[3].split(','))
                         else m.Mount.YES)
    return found


def unmount(target: Path, deadline: float, lazily: bool = False) -> None:
    """Unmount; :raises ToolError: if it is busy."""
    command.run(['umount', *(['-l'] if lazily else []), str(target)],
                deadline)


def free_share(target: Path) -> float:
    """Free share of the file system, 0 to 1."""
    found = os.statvfs(target)
    return found.f_bavail / found.f_blocks if found.f_blocks else 0.0
