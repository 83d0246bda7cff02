# SPDX-License-Identifier: Apache-2.0
"""Cinder: API, schedulers, and volume services for all backends."""

import base64
from collections.abc import Callable
from collections.abc import Sequence
from functools import partial
import os
from pathlib import Path
import sys
from typing import Any

from devstack.sandbox.ceph import CephCluster
from devstack.sandbox.database import Database
from devstack.sandbox.keystone import Keystone
from devstack.sandbox.layout import Layout
from devstack.sandbox.part import Part
from devstack.sandbox.process import Service
from devstack.sandbox.process import wait_until
from devstack.sandbox.settings import Backend
from devstack.sandbox.settings import Conf
from devstack.sandbox.wsgi import answers
from devstack.sandbox.wsgi import wsgi_service

HOST = 'sandbox'
_HEARTBEAT_S = 3
_START_DEADLINE_S = 240
_SHORTEST_POLLING_S = 3

# How an operator switches the project on; all else is plain Cinder.
TAGGED = {
    'scheduler_host_manager':
        'cinder_tagged.scheduler.host_manager.TaggedHostManager',
    'scheduler_default_filters': 'AvailabilityZoneFilter,FeatureFilter,'
                                 'CapacityFilter,CapabilitiesFilter',
    'scheduler_default_weighers': 'FeatureWeigher',
    'volume_manager': 'cinder_tagged.volume.manager.VolumeManager',
}
# How requests survive the death of the service that works on them.
JOURNAL = {
    'volume_api_class': 'cinder_tagged.resume.api.API',
    'volume_manager': 'cinder_tagged.resume.volume_manager.VolumeManager',
    'scheduler_manager':
        'cinder_tagged.resume.scheduler_manager.SchedulerManager',
}
# Quicker than usual; dead_after leaves the HA agent time to say so first.
_JOURNAL_TIMES = {'dead_after': 10, 'poll': 0.5, 'lost_after': 8,
                  'bus_deadline': 8}
VOLUME_CLUSTER = 'sandbox-cluster'
TAGGED_DRIVER = 'cinder_tagged.volume.driver.TaggedRBDDriver'
STOCK_DRIVER = 'cinder.volume.drivers.rbd.RBDDriver'


class CinderConf:
    """The cinder.conf that all of Cinder's processes share."""

    def __init__(self, layout: Layout, keystone: Keystone,
                 clusters: dict[str, CephCluster]) -> None:
        self.layout = layout
        self.keystone = keystone
        self.clusters = clusters
        self.path = layout.state / 'cinder' / 'cinder.conf'

    def write(self) -> None:
        """Write the file."""
        settings = self.layout.settings
        self.layout.write_conf(
            'cinder/cinder.conf', self._common(),
            *(self._stanza(backend) for backend in settings.backends),
            settings.overlays.get('cinder', {}))

    def _common(self) -> Conf:
        layout, settings = self.layout, self.layout.settings
        helper = f'{layout.program("privsep-helper")} --config-file ' \
                 f'{self.path}'
        default = {
            'host': HOST, 'my_ip': '127.0.0.1', 'auth_strategy': 'keystone',
            'transport_url': layout.transport_url,
            'state_path': layout.directory('cinder', 'state'),
            'api_paste_config': Path(
                sys.prefix, 'etc', 'cinder', 'api-paste.ini'),
            'resource_query_filters_file': Path(
                sys.prefix, 'etc', 'cinder', 'resource_filters.json'),
            'enabled_backends': ', '.join(
                backend.name for backend in settings.backends),
            # Statistics are looked at once per periodic_interval, and
            # collected if the last are older than the other option says.
            'periodic_interval': settings.stats_interval,
            'backend_stats_polling_interval': max(
                _SHORTEST_POLLING_S, settings.stats_interval // 2),
            'report_interval': _HEARTBEAT_S,
            'service_down_time': 10 * _HEARTBEAT_S,
            'volume_clear': 'none', 'enable_force_upload': 'true',
            'allowed_direct_url_schemes': 'cinder',
            'image_conversion_dir': layout.directory(
                'cinder', 'conversion'),
        }
        if not settings.stock:
            default |= TAGGED
        if settings.journal:
            default |= JOURNAL
        return {
            # Few and small clusters: no copy of an image that can be saved.
            'feature': {} if settings.stock else {'image_preference': 100},
            'DEFAULT': default, **self._journal(),
            'database': {'connection': layout.database_url('cinder')},
            'keystone_authtoken': self.keystone.token_middleware('cinder'),
            'service_user': {'send_service_user_token': 'true',
                             **self.keystone.service_auth('cinder')},
            'nova': self.keystone.service_auth('cinder'),
            'glance': self.keystone.service_auth('cinder'),
            'oslo_concurrency': {
                'lock_path': layout.directory('cinder', 'locks')},
            'coordination': {
                'backend_url':
                    f'file://{layout.directory("cinder", "coordination")}'},
            'cinder_sys_admin': {'helper_command': helper},
            'privsep_osbrick': {'helper_command': helper},
        }

    def _journal(self) -> Conf:
        if not self.layout.settings.journal:
            return {}
        key = self.layout.state / 'cinder' / 'resume.key'
        if not key.exists():
            self.layout.write('cinder/resume.key', base64.urlsafe_b64encode(
                os.urandom(32)).decode())
        return {'resume': {'token_key_file': key, **_JOURNAL_TIMES}}

    def _stanza(self, backend: Backend) -> Conf:
        cluster = self.clusters[backend.name]
        stanza: dict[str, Any] = {
            'volume_driver': TAGGED_DRIVER,
            'volume_backend_name': backend.name,
            'rbd_pool': 'volumes', 'rbd_user': 'cinder',
            'rbd_ceph_conf': cluster.conf,
            'rbd_cluster_name': backend.name,
            'rbd_secret_uuid': cluster.fsid,
            'report_discard_supported': 'true',
            'feature_tags': backend.tags,
            'feature_weight': f'{backend.weight:g}',
        }
        if self.layout.settings.stock:
            stanza |= {'volume_driver': STOCK_DRIVER,
                       'rados_connect_timeout': 5}
            del stanza['feature_tags'], stanza['feature_weight']
        return {backend.name: stanza}


class CinderApi(Part):
    """Cinder's HTTP API."""

    name = 'cinder-api'
    needs = ('database', 'message bus')
    databases = ('cinder',)

    def __init__(self, layout: Layout, conf: CinderConf) -> None:
        super().__init__(layout)
        self.conf = conf
        self.api = wsgi_service(
            layout, 'cinder-api', 'cinder.wsgi.api:application',
            arguments=f'--config-file {conf.path}',
            env={'OS_CINDER_DISABLE_EVENTLET_PATCHING': '1'}, threads=8)

    @property
    def services(self) -> Sequence[Service]:
        return (self.api,)

    def schema_commands(self) -> list[list[str | Path]]:
        manage = self.layout.program('cinder-manage')
        return [[manage, '--config-file', self.conf.path, 'db', 'sync']]

    @staticmethod
    def lift_quotas(database: Database) -> None:
        """Take the limits of ten volumes and a terabyte away."""
        database.execute('UPDATE quota_classes SET hard_limit = -1',
                         database='cinder')

    def catalogue(self) -> dict[str, str]:
        return {'block-storage': f'{self.layout.url("cinder-api")}/v3'}

    def start(self) -> None:
        self.api.start()
        self.api.wait_ready(
            lambda: answers(f'{self.layout.url("cinder-api")}/'),
            _START_DEADLINE_S)


class CinderDaemons(Part):
    """Cinder's processes that are not reached by HTTP, of one kind."""

    def __init__(self, layout: Layout, conf: CinderConf,
                 database: Database) -> None:
        super().__init__(layout)
        self.conf = conf
        self.database = database

    def _daemon(self, program: str, instance: str,
                overlay: Path | None = None) -> Service:
        argv: list[str | Path] = [
            self.layout.program(program), '--config-file', self.conf.path]
        if overlay:
            argv += ['--config-file', overlay]
        return Service(
            instance, self.layout.directory('log'), argv,
            self.layout.guard,
            {**self.layout.environment(),
             # Native threads: eventlet is on its way out of OpenStack.
             'OS_CINDER_DISABLE_EVENTLET_PATCHING':
                 '0' if self.layout.settings.eventlet else '1'})

    def hosts_up(self, binary: str) -> set[str]:
        """Return the hosts whose heartbeat is recent."""
        rows = self.database.execute(
            'SELECT host FROM services WHERE `binary` = %s AND NOT deleted'
            ' AND updated_at > UTC_TIMESTAMP() - INTERVAL %s SECOND',
            binary, 2 * _HEARTBEAT_S + 1, database='cinder')
        return {host for (host,) in rows}


class CinderSchedulers(CinderDaemons):
    """One or more schedulers, each with a host name of its own."""

    name = 'cinder-scheduler'
    needs = ('database', 'message bus')

    @property
    def services(self) -> Sequence[Service]:
        return [self._scheduler(number) for number
                in range(1, self.layout.settings.schedulers + 1)]

    def _scheduler(self, number: int) -> Service:
        return self._daemon(
            'cinder-scheduler', f'cinder-scheduler-{number}',
            self.layout.state / 'cinder' / f'scheduler-{number}.conf')

    def configure(self) -> None:
        self.conf.write()
        for number in range(1, self.layout.settings.schedulers + 1):
            self.layout.write_conf(
                f'cinder/scheduler-{number}.conf',
                {'DEFAULT': {'host': self.host(number)}})

    @staticmethod
    def host(number: int) -> str:
        """Return the host name of one scheduler, counted from 1."""
        return f'{HOST}-scheduler-{number}'

    def start(self) -> None:
        services = self.services
        for service in services:
            service.start()
        for number, service in enumerate(services, 1):
            service.wait_ready(
                partial(self._scheduler_up, self.host(number)),
                _START_DEADLINE_S)

    def _scheduler_up(self, host: str) -> bool:
        return host in self.hosts_up('cinder-scheduler')


class CinderVolume(CinderDaemons):
    """The volume services; each forks one process per backend."""

    name = 'cinder-volume'

    def __init__(self, layout: Layout, conf: CinderConf,
                 database: Database) -> None:
        super().__init__(layout, conf, database)
        self.needs = ('database', 'message bus',
                      *(b.name for b in layout.settings.backends))
        nodes = layout.settings.storage_nodes
        if nodes == 1:
            self.nodes = {HOST: self._daemon('cinder-volume',
                                             'cinder-volume')}
        else:
            self.nodes = {
                f'{HOST}-n{n}': self._daemon(
                    'cinder-volume', f'cinder-volume-{n}',
                    layout.state / 'cinder' / f'volume-{n}.conf')
                for n in range(1, nodes + 1)}

    @property
    def service(self) -> Service:
        """The first, or only, volume service."""
        return next(iter(self.nodes.values()))

    @property
    def services(self) -> Sequence[Service]:
        return tuple(self.nodes.values())

    def configure(self) -> None:
        self.conf.write()
        if len(self.nodes) > 1:
            for number, host in enumerate(self.nodes, 1):
                self.layout.write_conf(
                    f'cinder/volume-{number}.conf',
                    {'DEFAULT': {'host': host, 'cluster': VOLUME_CLUSTER}})

    def start(self) -> None:
        for service in self.services:
            service.start()
        for host, service in self.nodes.items():
            service.wait_ready(partial(self._all_up, host),
                               _START_DEADLINE_S)

    def _all_up(self, host: str) -> bool:
        wanted = {f'{host}@{backend.name}'
                  for backend in self.layout.settings.backends}
        return wanted <= self.hosts_up('cinder-volume')


def wait_for_pools(pools: Callable[[], Sequence[str]],
                   backends: Sequence[Backend], host: str = HOST) -> None:
    """Wait until the scheduler knows the capacity of every backend.

    :param host: of the volume service, or the cluster of several.
    """
    wanted = {f'{host}@{backend.name}#{backend.name}'
              for backend in backends}
    wait_until(lambda: wanted <= set(pools()), _START_DEADLINE_S,
               'all backends known to the scheduler', interval=0.3)
