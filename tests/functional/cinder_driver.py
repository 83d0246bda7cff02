# SPDX-License-Identifier: Apache-2.0
"""A volume driver as cinder-volume makes one, without the service.

The driver gets a real cinder.conf; volumes and snapshots are Cinder's own
objects, without a database behind them.
"""

from pathlib import Path
from typing import Any
import uuid

from cinder import context
from cinder import objects
from cinder.volume import configuration
from oslo_config import cfg
from oslo_utils import importutils

from devstack.sandbox.ceph import CephCluster

TAGGED = 'cinder_tagged.volume.driver.TaggedRBDDriver'
STOCK = 'cinder.volume.drivers.rbd.RBDDriver'


def options_of(cluster: CephCluster, **options: Any) -> dict[str, Any]:
    """Return the options of a stanza for a cluster of the sandbox."""
    return {'volume_driver': TAGGED, 'rbd_ceph_conf': cluster.conf,
            'rbd_user': 'cinder', 'rbd_pool': 'volumes',
            'rbd_cluster_name': cluster.name, 'feature_tags': 'ssd',
            **options}


def write_conf(path: Path, stanzas: dict[str, dict[str, Any]]) -> None:
    """Write a cinder.conf with these backends and have oslo.config read it.
    """
    lines = ['[DEFAULT]', f'enabled_backends = {",".join(stanzas)}']
    for name, options in stanzas.items():
        lines.append(f'[{name}]')
        lines += [f'{option} = {value}' for option, value in options.items()]
    path.write_text('\n'.join(lines) + '\n')
    cfg.CONF([], project='cinder', default_config_files=[str(path)],
             default_config_dirs=[])


def make_driver(backend: str) -> Any:
    """Return the driver of a stanza, not set up yet."""
    objects.register_all()
    manager = importutils.import_module('cinder.volume.manager')
    stanza = configuration.Configuration(manager.volume_backend_opts,
                                         config_group=backend)
    return importutils.import_object(
        stanza.volume_driver, configuration=stanza, host=f'host@{backend}',
        cluster_name=None, is_vol_db_empty=True, active_backend_id=None)


def set_up(driver: Any) -> None:
    """Do with a driver what its service does when it starts."""
    admin = context.get_admin_context()
    driver.do_setup(admin)
    driver.check_for_setup_error()
    driver.init_capabilities()
    driver.set_throttle()
    driver.set_initialized()


def volume(size: int = 1, **fields: Any) -> Any:
    """Return a volume as the manager hands it to a driver."""
    return objects.Volume(
        context.get_admin_context(), id=str(uuid.uuid4()), _name_id=None,
        size=size, use_quota=True, encryption_key_id=None, volume_type=None,
        volume_type_id=None, status='creating', **fields)


def snapshot(of: Any) -> Any:
    """Return a snapshot of a volume."""
    return objects.Snapshot(
        context.get_admin_context(), id=str(uuid.uuid4()), volume=of,
        volume_id=of.id, volume_size=of.size, status='creating')
