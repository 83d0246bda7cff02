# SPDX-License-Identifier: Apache-2.0
"""Glance: images in an RBD pool of each cluster, and by feature."""

from collections.abc import Sequence
from pathlib import Path
import re
import sys

from devstack.sandbox.ceph import CephCluster
from devstack.sandbox.keystone import Keystone
from devstack.sandbox.keystone import REGION
from devstack.sandbox.layout import Layout
from devstack.sandbox.part import Part
from devstack.sandbox.process import Service
from devstack.sandbox.settings import Conf
from devstack.sandbox.wsgi import answers
from devstack.sandbox.wsgi import wsgi_service

_START_DEADLINE_S = 240

# How an operator switches the project's stores and filter on.
FEATURED = 'featured'
FAST = 'fast'
_FILTER = """
[filter:feature_images]
paste.filter_factory = glance_store_ext.filter:filter_factory
"""


class Glance(Part):
    """The image service, with one store per cluster.

    Unless the sandbox is a stock one, there are two more: ``featured``
    follows the image property ``feature``, ``fast`` is always on ssd.
    """

    name = 'glance'
    databases = ('glance',)

    def __init__(self, layout: Layout, keystone: Keystone,
                 clusters: dict[str, CephCluster]) -> None:
        super().__init__(layout)
        self.keystone = keystone
        self.clusters = clusters
        self.conf = layout.state / 'glance' / 'glance-api.conf'
        # The stores are opened once, at the start.
        self.needs = ('keystone', *clusters)
        self.api = wsgi_service(
            layout, 'glance', 'glance.wsgi.api:application',
            env={'OS_GLANCE_CONFIG_DIR': str(self.conf.parent)}, threads=8)

    @property
    def services(self) -> Sequence[Service]:
        return (self.api,)

    def schema_commands(self) -> list[list[str | Path]]:
        manage = self.layout.program('glance-manage')
        return [[manage, '--config-file', self.conf, 'db', 'sync']]

    def catalogue(self) -> dict[str, str]:
        return {'image': self.layout.url('glance')}

    def configure(self) -> None:
        default, *_others = self.clusters
        stores = [f'{store}:rbd' for store in self.clusters]
        paste = Path(sys.prefix, 'etc', 'glance',
                     'glance-api-paste.ini').read_text()
        tagged: Conf = {}
        if not self.layout.settings.stock:
            stores += [f'{FEATURED}:tagged', f'{FAST}:tagged']
            tagged = self._tagged()
            paste = re.sub(r'^(keystone\S* = .*) rootapp$',
                           r'\1 feature_images rootapp', paste,
                           flags=re.MULTILINE) + _FILTER
        self.layout.write('glance/glance-api-paste.ini', paste)
        self.layout.write_conf(
            'glance/glance-api.conf', self._common(),
            {'DEFAULT': {'enabled_backends': ', '.join(stores)},
             'glance_store': {'default_backend': default}},
            *(self._store(cluster) for cluster in self.clusters.values()),
            tagged, self.layout.settings.overlays.get('glance', {}))

    def _common(self) -> Conf:
        layout = self.layout
        auth = self.keystone.service_auth('glance')
        work = {name: {'filesystem_store_datadir':
                       layout.directory('glance', name)}
                for name in ('os_glance_staging_store',
                             'os_glance_tasks_store')}
        return {
            'DEFAULT': {
                'transport_url': layout.transport_url,
                # Cinder clones an image only if it sees where it is.
                'show_image_direct_url': 'true',
                'show_multiple_locations': 'true',
                'enabled_import_methods': '[glance-direct,web-download,'
                                          'copy-image]',
                'worker_self_reference_url': layout.url('glance'),
            },
            'database': {'connection': layout.database_url('glance')},
            'keystone_authtoken': self.keystone.token_middleware('glance'),
            'paste_deploy': {
                'flavor': 'keystone',
                'config_file': layout.state / 'glance'
                / 'glance-api-paste.ini'},
            # Asked for even though unused without [DEFAULT]
            # use_keystone_limits.
            'oslo_limit': {**auth, 'endpoint_service_type': 'image'},
            'oslo_concurrency': {
                'lock_path': layout.directory('glance', 'locks')},
            **work,
        }

    def _tagged(self) -> Conf:
        store = {
            **self.keystone.service_auth('glance'),
            'tagged_ceph_confs': ', '.join(
                str(cluster.conf) for cluster in self.clusters.values()),
            # The Ceph user that may write Cinder's pool.
            'tagged_rbd_user': 'cinder', 'tagged_region': REGION,
        }
        return {FEATURED: store, FAST: {**store, 'tagged_feature': 'ssd'},
                'feature_images': {'store': FEATURED}}

    @staticmethod
    def _store(cluster: CephCluster) -> Conf:
        return {cluster.name: {
            'rbd_store_pool': 'images', 'rbd_store_user': 'glance',
            'rbd_store_ceph_conf': cluster.conf,
            'rados_connect_timeout': 10, 'rbd_thin_provisioning': 'true'}}

    def start(self) -> None:
        self.api.start()
        self.api.wait_ready(lambda: answers(f'{self.layout.url("glance")}/'),
                            _START_DEADLINE_S)
