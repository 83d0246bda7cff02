# SPDX-License-Identifier: Apache-2.0
"""What Tempest has to know of a sandbox: its tempest.conf."""

from pathlib import Path
import shutil
from typing import Any

from devstack.sandbox.keystone import REGION
from devstack.sandbox.sandbox import Sandbox

# Small, since Tempest makes volumes of it again and again.
_IMAGE_BYTES = 4 * 1024 ** 2
_PATIENCE_S = 300
_KEYRINGS = Path('/etc/ceph')
# The sandbox's smallest, and one to resize to.
_FLAVORS = ('tiny', 'small')


def upload_images(sandbox: Sandbox) -> list[str]:
    """Make the two images that tests start from; returns their ids."""
    image = sandbox.connect().image
    return [image.create_image(
        name, data=bytes(_IMAGE_BYTES), disk_format='raw',
        container_format='bare', visibility='public', wait=True,
        timeout=_PATIENCE_S).id for name in ('tempest', 'tempest-alt')]


def install_keyrings(sandbox: Sandbox) -> None:
    """Put the keyrings of Cinder's user where os-brick looks for them.

    The process is in a mount namespace with a directory of its own there.
    """
    for name, cluster in sandbox.clusters.items():
        shutil.copy(cluster.directory / 'client.cinder.keyring',
                    _KEYRINGS / f'{name}.client.cinder.keyring')


def configuration(sandbox: Sandbox, directory: Path,
                  images: list[str]) -> dict[str, dict[str, Any]]:
    """Return the sections of tempest.conf.

    What is switched off there, the sandbox does not have.

    :param directory: for locks and logs
    :param images: ids of two images
    """
    admin = sandbox.keystone.credentials('admin')
    compute = sandbox.connect().compute
    flavors = [compute.find_flavor(name).id for name in _FLAVORS]
    backends = [backend.name for backend in sandbox.settings.backends]
    return {
        'DEFAULT': {'log_file': directory / 'tempest.log'},
        'oslo_concurrency': {'lock_path': directory / 'locks'},
        'auth': {
            'admin_username': admin['username'],
            'admin_password': admin['password'],
            'admin_project_name': admin['project_name'],
            'admin_domain_name': 'Default',
            'use_dynamic_credentials': 'true',
            'create_isolated_networks': 'false'},
        'identity': {'uri_v3': admin['auth_url'], 'auth_version': 'v3',
                     'region': REGION},
        'service_available': {
            'cinder': 'true', 'glance': 'true', 'nova': 'true',
            # The stand-in: whole classes are skipped without it whose
            # servers need no network.
            'neutron': 'true', 'swift': 'false'},
        # No guest runs, so that none can be logged in to.
        'validation': {'run_validation': 'false'},
        'compute': {
            'image_ref': images[0], 'image_ref_alt': images[1],
            'flavor_ref': flavors[0], 'flavor_ref_alt': flavors[1],
            'min_microversion': '2.1', 'max_microversion': 'latest',
            'build_timeout': _PATIENCE_S},
        'compute-feature-enabled': {
            # No key manager, one compute node.
            'attach_encrypted_volume': 'false', 'live_migration': 'false',
            'cold_migration': 'false', 'vnc_console': 'false'},
        'image': {'build_timeout': _PATIENCE_S},
        'volume': {
            'catalog_type': 'block-storage', 'region': REGION,
            'storage_protocol': 'ceph', 'vendor_name': 'Open Source',
            'min_microversion': '3.0', 'max_microversion': 'latest',
            'build_interval': 1, 'build_timeout': _PATIENCE_S,
            'backend_names': ','.join(backends[:2]),
            # What RBD drivers call a volume's snapshots.
            'manage_snapshot_ref': 'source-name,snapshot-%s'},
        'volume-feature-enabled': {
            # No cinder-backup.
            'backup': 'false', 'multi_backend': 'true', 'snapshot': 'true',
            'clone': 'true', 'manage_volume': 'true',
            'manage_snapshot': 'true', 'extend_attached_volume': 'true',
            # Those of the plugin.
            'volume_revert': 'true', 'concurrency_tests': 'true'},
    }
