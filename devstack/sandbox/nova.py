# SPDX-License-Identifier: Apache-2.0
"""Nova, with a compute node that boots nothing.

Nova's own fake driver stands for the hypervisor: servers get all they
need, volumes first, but no guest runs. The part "hypervisor" is one that
boots them.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
import re
import sys
from typing import Any

from devstack.sandbox.keystone import Keystone
from devstack.sandbox.keystone import REGION
from devstack.sandbox.layout import Layout
from devstack.sandbox.part import Part
from devstack.sandbox.process import Service
from devstack.sandbox.process import wait_until
from devstack.sandbox.settings import Conf
from devstack.sandbox.wsgi import answers
from devstack.sandbox.wsgi import wsgi_service

HOST = 'sandbox'
_COMPUTE = 'nova-compute'
_HEARTBEAT_S = 3
_START_DEADLINE_S = 240
# On native threads Nova 34 now and then trips over its own options as they
# are registered ("dictionary changed size during iteration") and ends.
_RESTARTS = 2

# Cell mappings fill these in from nova.conf, so that the template of the
# databases fits every sandbox.
_CELL_DATABASE = '{scheme}://{username}@{hostname}/%s?{query}'
_CELL_TRANSPORT = '{scheme}://{username}:{password}@{hostname}:{port}/'
# How an operator switches the project's filter on.
_FILTER = """
[filter:feature_disks]
paste.filter_factory = nova_hooks.filter:filter_factory
"""
FLAVORS = (('tiny', 1, 64, 1), ('guest', 1, 192, 1), ('small', 1, 512, 5),
           ('volume', 1, 64, 0))


class NovaConf:
    """The nova.conf that all of Nova's processes share."""

    def __init__(self, layout: Layout, keystone: Keystone) -> None:
        self.layout = layout
        self.keystone = keystone
        self.path = layout.state / 'nova' / 'nova.conf'

    def write(self) -> None:
        """Write nova.conf and api-paste.ini."""
        self.layout.write_conf(
            'nova/nova.conf', self._common(), self._clients(),
            self.layout.settings.overlays.get('nova', {}))
        paste = Path(sys.prefix, 'etc', 'nova', 'api-paste.ini').read_text()
        if not self.layout.settings.stock:
            paste = re.sub(r'^(keystone = .*) (\S+)$',
                           r'\1 feature_disks \2', paste,
                           flags=re.MULTILINE) + _FILTER
        self.layout.write('nova/api-paste.ini', paste)

    def _common(self) -> Conf:
        layout = self.layout
        helper = f'{layout.program("privsep-helper")} --config-file ' \
                 f'{self.path}'
        return {
            'DEFAULT': {
                'host': HOST, 'my_ip': '127.0.0.1',
                'transport_url': layout.transport_url,
                'state_path': layout.directory('nova', 'state'),
                'compute_driver': 'fake.FakeDriverWithoutFakeNodes',
                'report_interval': _HEARTBEAT_S,
                'service_down_time': 10 * _HEARTBEAT_S,
                'block_device_allocate_retries': 600,
                'block_device_allocate_retries_interval': 1,
                'reserved_host_memory_mb': 0,
            },
            'api': {'auth_strategy': 'keystone'},
            'wsgi': {'api_paste_config': layout.state / 'nova'
                     / 'api-paste.ini'},
            'database': {'connection': layout.database_url('nova')},
            'api_database': {'connection': layout.database_url('nova_api')},
            'quota': {'instances': -1, 'cores': -1, 'ram': -1},
            'conductor': {'workers': 1},
            'scheduler': {'workers': 1,
                          'discover_hosts_in_cells_interval': 2},
            'filter_scheduler': {'track_instance_changes': 'false'},
            'vnc': {'enabled': 'false'},
            'oslo_concurrency': {
                'lock_path': layout.directory('nova', 'locks')},
            'nova_sys_admin': {'helper_command': helper},
            'vif_plug_linux_bridge_privileged': {'helper_command': helper},
            'privsep_osbrick': {'helper_command': helper},
        }

    def _clients(self) -> Conf:
        auth = self.keystone.service_auth('nova')
        return {
            'keystone_authtoken': self.keystone.token_middleware('nova'),
            'service_user': {'send_service_user_token': 'true', **auth},
            'placement': self.keystone.service_auth('placement'),
            'neutron': auth,
            'cinder': {**auth, 'os_region_name': REGION,
                       'catalog_info': 'block-storage::publicURL'},
            'glance': {'region_name': REGION},
        }


class NovaApi(Part):
    """Nova's HTTP API."""

    name = 'nova-api'
    needs = ('keystone', 'message bus')
    databases = ('nova_api', 'nova', 'nova_cell0')

    def __init__(self, layout: Layout, conf: NovaConf) -> None:
        super().__init__(layout)
        self.conf = conf
        self.api = wsgi_service(
            layout, 'nova-api', 'nova.wsgi.osapi_compute:application',
            # It looks for api-paste.ini and nova.conf there.
            env={'OS_NOVA_CONFIG_DIR': str(conf.path.parent)}, threads=8)

    @property
    def services(self) -> Sequence[Service]:
        return (self.api,)

    def configure(self) -> None:
        self.conf.write()

    def schema_commands(self) -> list[list[str | Path]]:
        manage: list[str | Path] = [
            self.layout.program('nova-manage'), '--config-file',
            self.conf.path]
        return [
            [*manage, 'api_db', 'sync'],
            [*manage, 'cell_v2', 'map_cell0', '--database_connection',
             _CELL_DATABASE % 'nova_cell0'],
            [*manage, 'db', 'sync'],
            [*manage, 'cell_v2', 'create_cell', '--name', 'cell1',
             '--database_connection', _CELL_DATABASE % 'nova',
             '--transport-url', _CELL_TRANSPORT],
        ]

    def catalogue(self) -> dict[str, str]:
        return {'compute': f'{self.layout.url("nova-api")}/v2.1'}

    def start(self) -> None:
        self.api.start()
        self.api.wait_ready(
            lambda: answers(f'{self.layout.url("nova-api")}/'),
            _START_DEADLINE_S)


class NovaDaemons(Part):
    """Conductor, scheduler, and unless there is another a compute node."""

    name = 'nova daemons'
    # Conductor and scheduler give up for good when Keystone or Placement
    # do not answer; no compute node starts without a conductor.
    needs = ('keystone', 'message bus', 'placement', 'nova-api')

    def __init__(self, layout: Layout, conf: NovaConf,
                 keystone: Keystone) -> None:
        super().__init__(layout)
        self.keystone = keystone
        names = ['nova-conductor', 'nova-scheduler']
        if 'hypervisor' not in layout.settings.parts:
            names.append(_COMPUTE)
        self._services = {
            name: Service(
                name, layout.directory('log'),
                [layout.program(name), '--config-file', conf.path],
                layout.guard, layout.environment())
            for name in names}

    @property
    def services(self) -> Sequence[Service]:
        return tuple(self._services.values())

    def start(self) -> None:
        for service in self._services.values():
            service.start()
        compute = self.keystone.connect('admin').compute
        for name, service in self._services.items():
            service.wait_ready(
                partial(_up, compute, name), _START_DEADLINE_S, _RESTARTS)
        if _COMPUTE in self._services:
            wait_for_compute(self.keystone, self._services[_COMPUTE], HOST)
        _make_flavors(compute)


def wait_for_compute(keystone: Keystone, service: Service,
                     host: str) -> None:
    """Wait until a compute node takes servers."""
    compute = keystone.connect('admin').compute
    service.wait_ready(
        partial(_up, compute, _COMPUTE, host), _START_DEADLINE_S, _RESTARTS)
    wait_until(
        lambda: any(node.service_details['host'] == host
                    for node in compute.hypervisors(details=True)),
        _START_DEADLINE_S, 'compute node mapped to the cell', interval=0.5)


def _up(compute: Any, binary: str, host: str | None = None) -> bool:
    return any(service.state == 'up' and host in (None, service.host)
               for service in compute.services(binary=binary))


def _make_flavors(compute: Any) -> None:
    for name, vcpus, ram, disk in FLAVORS:
        if compute.find_flavor(name) is None:
            compute.create_flavor(
                name=name, vcpus=vcpus, ram=ram, disk=disk)
