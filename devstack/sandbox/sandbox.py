# SPDX-License-Identifier: Apache-2.0
"""The whole sandbox: put its parts together, start and stop them."""

from collections.abc import Callable
from collections.abc import Sequence
import os
from pathlib import Path
import shutil
import time
from types import TracebackType
from typing import Any

import yaml

from devstack.sandbox.bus import Bus
from devstack.sandbox.ceph import CephCluster
from devstack.sandbox.cinder import CinderApi
from devstack.sandbox.cinder import CinderConf
from devstack.sandbox.cinder import CinderSchedulers
from devstack.sandbox.cinder import CinderVolume
from devstack.sandbox.cinder import HOST
from devstack.sandbox.cinder import VOLUME_CLUSTER
from devstack.sandbox.cinder import wait_for_pools
from devstack.sandbox.database import Database
from devstack.sandbox.glance import Glance
from devstack.sandbox.hypervisor import Hypervisor
from devstack.sandbox.keystone import Keystone
from devstack.sandbox.keystone import REGION
from devstack.sandbox.layout import Layout
from devstack.sandbox.network import Network
from devstack.sandbox.nova import NovaApi
from devstack.sandbox.nova import NovaConf
from devstack.sandbox.nova import NovaDaemons
from devstack.sandbox.part import Part
from devstack.sandbox.part import start_parts
from devstack.sandbox.placement import Placement
from devstack.sandbox.process import Service
from devstack.sandbox.process import wait_until
from devstack.sandbox.settings import Settings
from devstack.sandbox.template import Template

Progress = Callable[[str, float], None]


def _silent(name: str, seconds: float) -> None:
    """Report nothing."""


class CephPart(Part):
    """A Ceph cluster as a part of the sandbox."""

    def __init__(self, layout: Layout, cluster: CephCluster) -> None:
        super().__init__(layout)
        self.cluster = cluster
        self.name = cluster.name

    @property
    def services(self) -> Sequence[Service]:
        return (self.cluster.mon, self.cluster.mgr, self.cluster.osd)

    def start(self) -> None:
        self.cluster.start()


class Sandbox:
    """A running sandbox, started here or found by Sandbox.attach().

    :ivar clusters: the Ceph clusters by name, to look into or to break.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.settings = layout.settings
        self.clusters = {
            backend.name: CephCluster(
                layout.state / backend.name, backend.name,
                size_gib=backend.size_gib, guard=layout.guard)
            for backend in self.settings.backends}
        self.database = Database(layout)
        self.bus = Bus(layout)
        self.keystone = Keystone(layout, self.database)
        conf = CinderConf(layout, self.keystone, self.clusters)
        self.cinder_conf = conf
        self.cinder_api = CinderApi(layout, conf)
        self.cinder_schedulers = CinderSchedulers(
            layout, conf, self.database)
        self.cinder_volume = CinderVolume(layout, conf, self.database)
        self.parts: list[Part] = [
            *(CephPart(layout, c) for c in self.clusters.values()),
            self.database, self.bus, self.keystone, self.cinder_api,
            self.cinder_schedulers, self.cinder_volume,
            *self._image_parts(), *self._compute_parts()]

    def _image_parts(self) -> list[Part]:
        if 'image' not in self.settings.parts:
            return []
        return [Glance(self.layout, self.keystone, self.clusters)]

    def _compute_parts(self) -> list[Part]:
        if 'compute' not in self.settings.parts:
            return []
        conf = NovaConf(self.layout, self.keystone)
        return [Placement(self.layout, self.keystone),
                Network(self.layout), NovaApi(self.layout, conf),
                NovaDaemons(self.layout, conf, self.keystone),
                *([self.hypervisor()]
                  if 'hypervisor' in self.settings.parts else [])]

    def hypervisor(self) -> Hypervisor:
        """Return a node that boots guests; the caller may start it."""
        return Hypervisor(self.layout, NovaConf(self.layout, self.keystone),
                          self.keystone, self.clusters)

    # -- life ---------------------------------------------------------------

    @classmethod
    def start(cls, settings: Settings,
              progress: Progress = _silent) -> 'Sandbox':
        """Start a sandbox that ends with this process.

        :param progress: called with each step's name and its seconds.
        :raises SandboxError: something did not start; what did is
            stopped again, and the logs stay in the state directory.
        """
        layout = Layout.create(settings)
        layout.guard.watch()
        try:
            sandbox = cls(layout)
            sandbox._start(progress)
        except BaseException:
            layout.guard.close()
            raise
        return sandbox

    def _start(self, progress: Progress) -> None:
        self.keystone.endpoints = {
            kind: url for part in self.parts
            for kind, url in part.catalogue().items()}
        template = Template(
            self.layout, self.database, self.keystone,
            [part for part in self.parts if part.databases])
        began = time.monotonic()
        if template.exists:
            template.restore()
        for part in self.parts:
            part.configure()
        if not template.exists:
            template.build()
            progress('database template (only the first time)',
                     time.monotonic() - began)
        start_parts(self.parts, progress)
        self._write_clouds()
        self.layout.save()
        began = time.monotonic()
        self._wait_for_backends()
        self._wait_for_types()
        progress('all backends known to the scheduler',
                 time.monotonic() - began)

    def _wait_for_backends(self) -> None:
        cinder = self.connect().block_storage

        def pools() -> list[str]:
            # Schedulers answer by turns: what is missing in one of them
            # is missing.
            answers = [{pool.name for pool in cinder.backend_pools()}
                       for _ in range(self.settings.schedulers)]
            return list(set.intersection(*answers))

        wait_for_pools(
            pools, self.settings.backends,
            HOST if self.settings.storage_nodes == 1 else VOLUME_CLUSTER)

    def _wait_for_types(self) -> None:
        """Wait for the volume types that the scheduler makes for tags."""
        if self.settings.stock:
            return
        cinder = self.connect().block_storage
        words = {tag.strip().rpartition(':')[2]
                 for backend in self.settings.backends
                 for tag in backend.tags.split(',')}
        wait_until(lambda: words <= {t.name for t in cinder.types()}, 60,
                   'a volume type for each tag', interval=0.3)

    def _write_clouds(self) -> None:
        clouds = {
            name: {'auth': self.keystone.credentials(user),
                   'region_name': REGION}
            for name, user in (('sandbox', 'admin'),
                               ('sandbox-demo', 'demo'))}
        self.layout.write('clouds.yaml', yaml.safe_dump({'clouds': clouds}))

    @classmethod
    def attach(cls, state: Path) -> 'Sandbox':
        """Find the running sandbox in a state directory.

        :raises SandboxError: there is none.
        """
        return cls(Layout.load(state.absolute()))

    def keep(self) -> None:
        """Let the sandbox outlive this process."""
        self.layout.guard.release()

    def stop(self) -> None:
        """End all processes and remove the state directory."""
        self.layout.guard.close()
        shutil.rmtree(self.layout.state, ignore_errors=True)

    def __enter__(self) -> 'Sandbox':
        return self

    def __exit__(self, kind: type[BaseException] | None,
                 value: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.stop()

    # -- use ----------------------------------------------------------------

    @property
    def services(self) -> list[Service]:
        """Every process of the sandbox."""
        return [service for part in self.parts for service in part.services]

    def connect(self, user: str = 'admin', **options: Any) -> Any:
        """Return an openstacksdk connection as "admin" or "demo".

        :param options: settings of the cloud, as in clouds.yaml
        """
        return self.keystone.connect(user, **options)

    def environment(self, cloud: str = 'sandbox') -> dict[str, str]:
        """Return the variables with which clients find the sandbox."""
        inherited = {name: value for name, value in os.environ.items()
                     if not name.startswith('OS_')}
        return {**inherited, **self.layout.environment(),
                'OS_CLIENT_CONFIG_FILE': str(
                    self.layout.state / 'clouds.yaml'),
                'OS_CLOUD': cloud,
                'SANDBOX_STATE': str(self.layout.state)}

    def images(self, pool: str = 'volumes') -> dict[str, list[str]]:
        """Return the RBD images by cluster: the proof of a placement."""
        return {name: cluster.images(pool)
                for name, cluster in self.clusters.items()}
