# SPDX-License-Identifier: Apache-2.0
"""Mapping by rbd-nbd."""

import contextlib
import json
import threading

from cinder_tagged.ha.platform import exceptions
from cinder_tagged.ha.platform.adapters import mapping
from cinder_tagged.ha.platform.adapters import process


class Nbd(mapping.ProcessMapper):
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
