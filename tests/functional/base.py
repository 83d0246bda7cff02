# SPDX-License-Identifier: Apache-2.0
"""What functional tests stand on: a running sandbox and its clusters.

All tests of a process share one sandbox. It starts with the first test
that asks for it and ends with the process, whatever way that ends.
"""

import atexit
from collections.abc import Callable
import os
from pathlib import Path
import secrets
import shutil
import sys
import tempfile
import threading
from typing import Any

from oslotest import base

from devstack.sandbox.process import wait_until
from devstack.sandbox.sandbox import Sandbox
from devstack.sandbox.settings import Settings

# Generous: the machine may be busy with other things.
DEADLINE_S = 180
# A sandbox that was kept (tools/demo --keep) is used if this names it.
STATE_VARIABLE = 'CINDER_TAGGED_STATE'

# Taken before a test begins: during one, oslotest's fixtures make HOME and
# the directory for temporary files ones that go when it ends.
_TEMPORARY = Path(tempfile.gettempdir())
os.environ.setdefault('XDG_CACHE_HOME', str(Path.home() / '.cache'))

_shared: dict[frozenset[str], Sandbox] = {}
_lock = threading.Lock()


def _say(name: str, seconds: float) -> None:
    print(f'sandbox: {name} ({seconds:.1f} s)', file=sys.stderr, flush=True)


def shared_sandbox(parts: frozenset[str] = frozenset()) -> Sandbox:
    """Return this process's sandbox with (at least) the parts asked for."""
    with _lock:
        for have, sandbox in _shared.items():
            if have >= parts:
                return sandbox
        if state := os.environ.get(STATE_VARIABLE):
            sandbox = Sandbox.attach(Path(state))
        else:
            sandbox = new_sandbox(parts=parts)
            atexit.register(sandbox.stop)
        _shared[sandbox.settings.parts] = sandbox
        return sandbox


def new_sandbox(**settings: Any) -> Sandbox:
    """Start a sandbox of one's own; the caller stops it."""
    name = f'cinder-tagged-test-{secrets.token_hex(4)}'
    state = _TEMPORARY / name
    try:
        return Sandbox.start(Settings(state, **settings), _say)
    except BaseException:
        # The error quotes the log that matters.
        shutil.rmtree(state, ignore_errors=True)
        raise


class SandboxTestCase(base.BaseTestCase):
    """A test on the shared sandbox.

    :cvar parts: optional parts that the test needs.
    :ivar cloud: openstacksdk connection of the administrator.
    """

    parts: frozenset[str] = frozenset()

    def setUp(self) -> None:
        # First: it outlives the test and so must not see the fixtures' HOME.
        self.sandbox = shared_sandbox(self.parts)
        super().setUp()
        self.clusters = self.sandbox.clusters
        self.cloud = self.sandbox.connect()
        self.cinder = self.cloud.block_storage

    def wait_until(self, check: Callable[[], object], what: str) -> None:
        """Poll until check() is true, within a generous deadline."""
        wait_until(check, DEADLINE_S, what, interval=0.1)

    def create_volume(self, size: int = 1, *, wait: str = 'available',
                      scheduler_hints: dict[str, str] | None = None,
                      **attributes: Any) -> Any:
        """Create a volume, to be deleted after the test.

        :param wait: the status to wait for; any end is waited for, and
            another one than this fails the test.
        """
        if scheduler_hints:
            attributes['scheduler_hints'] = scheduler_hints
        volume = self.cinder.create_volume(size=size, **attributes)
        self.addCleanup(self.delete_volume, volume.id)
        self.wait_until(
            lambda: self.cinder.get_volume(volume.id).status
            in ('available', 'error'), f'volume {volume.id} made')
        volume = self.cinder.get_volume(volume.id)
        self.assertEqual(wait, volume.status)
        return volume

    def delete_volume(self, volume_id: str) -> None:
        """Delete a volume and wait until it is gone."""
        self.cinder.delete_volume(volume_id, ignore_missing=True)
        self.wait_until(
            lambda: self.cinder.find_volume(volume_id) is None,
            f'volume {volume_id} deleted')

    def clusters_with(self, volume_id: str) -> list[str]:
        """Return the clusters whose pool really holds the volume."""
        name = f'volume-{volume_id}'
        return [cluster for cluster, images in self.sandbox.images().items()
                if name in images]

    def backend_of(self, volume_id: str) -> str:
        """Return the backend that Cinder says the volume is on."""
        host = self.cinder.get_volume(volume_id).host
        return str(host).partition('@')[2].partition('#')[0]
