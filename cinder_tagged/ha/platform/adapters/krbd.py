# SPDX-License-Identifier: Apache-2.0
"""Mapping by the kernel's client."""

import contextlib
from pathlib import Path
import threading

from cinder_tagged.ha.platform import exceptions
from cinder_tagged.ha.platform.adapters import mapping


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


class Krbd(mapping.Mapper):
    """An entry in sysfs.

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
