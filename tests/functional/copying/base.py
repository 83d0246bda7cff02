# SPDX-License-Identifier: Apache-2.0
"""Clusters for the tests of copying: no OpenStack, only Ceph."""

import atexit
import contextlib
import hashlib
import os
import random
import secrets
import threading

from oslotest import base
import rados
import rbd

from cinder_tagged.ceph.connection import Identity
from cinder_tagged.ceph.connection import Timeouts
from cinder_tagged.copy import ledger
from cinder_tagged.copy import seeds
from cinder_tagged.copy import spec
from cinder_tagged.copy import target as target_mod
from cinder_tagged.copy.core import record as record_mod
from devstack.sandbox.ceph import CephCluster
from devstack.sandbox.ceph import start_all

MiB = 1 << 20
LIMITS = Timeouts(mount=20, mon=20, osd=60)
LEASE_S = 2

_clusters: list[CephCluster] = []
_lock = threading.Lock()


def clusters(number: int) -> list[CephCluster]:
    """Return clusters shared by all tests of this process."""
    with _lock:
        fresh = [CephCluster(name=f'copy-{i}')
                 for i in range(len(_clusters), number)]
        start_all(fresh)
        for cluster in fresh:
            atexit.register(cluster.stop)
        _clusters.extend(fresh)
        return _clusters[:number]


def place(cluster: CephCluster, pool: str) -> spec.Place:
    """Return where to copy from or to, as Cinder's user."""
    return spec.Place(
        Identity(str(cluster.conf), 'ceph', 'cinder', LIMITS), pool)


def fill(image: rbd.Image, data_mib: int, seed: int = 0) -> None:
    """Write data_mib blocks of 1 MiB all over an image, and odd bits."""
    rand = random.Random(seed)
    blocks = image.size() // MiB
    for block in rand.sample(range(blocks), min(data_mib, blocks)):
        image.write(rand.randbytes(MiB), block * MiB)
    image.write(b'first', 0)
    image.write(b'last', image.size() - 4)


def digest(image: rbd.Image) -> str:
    """Return a hash of all bytes of an open image."""
    total = hashlib.sha256()
    size = image.size()
    for offset in range(0, size, 4 * MiB):
        total.update(image.read(offset, min(4 * MiB, size - offset)))
    return total.hexdigest()


def seeds_of(cluster: CephCluster, **settings) -> seeds.Seeds:
    """Return the seeds of a cluster's volumes."""
    @contextlib.contextmanager
    def access():
        with cluster.connect('cinder') as client, contextlib.closing(
                client.open_ioctx('volumes')) as ioctx:
            yield client, ioctx

    return seeds.Seeds(
        place(cluster, 'volumes'), access, seeds.Settings(
            **{'lease_s': LEASE_S, 'wait_s': 300.0, **settings}))


def original(name: str, source: spec.RbdImage, **values) -> seeds.Original:
    """Return what a seed is made of."""
    return seeds.Original(**{'image': name, 'source': source, **values})


class CopyTestCase(base.BaseTestCase):
    """A test with a first cluster that holds images, and others."""

    number = 2

    def setUp(self):
        # Before oslotest gives this test a temporary directory of its own,
        # which goes with the test.
        self.clusters = clusters(self.number)
        super().setUp()
        self.first, *self.others = self.clusters
        self.name = f'img-{secrets.token_hex(4)}'
        for cluster in self.clusters:
            self.addCleanup(self._empty, cluster)

    def _empty(self, cluster):
        """Leave nothing of this test, and check that it can go."""
        with cluster.ioctx('volumes') as ioctx:
            for name in sorted(rbd.RBD().list(ioctx),
                               key=lambda name: not name.startswith('disk')):
                if self.name in name:
                    target_mod.remove(ioctx, name)
            target_mod.empty_trash(ioctx, 'seed-')
            names = ledger.Ledger(ioctx).targets()
            for name in names:
                if self.name in name:
                    with contextlib.suppress(rados.ObjectNotFound):
                        ioctx.remove_object(ledger.oid(name))
                    with rados.WriteOpCtx() as op:
                        ioctx.remove_omap_keys(op, (name,))
                        ioctx.operate_write_op(op, 'cinder_tagged.copies')

    def image(self, size_mib=64, data_mib=8, snapshot='snap'):
        """Make an image as Glance keeps it; return where it is."""
        with self.first.ioctx('images') as ioctx:
            rbd.RBD().create(ioctx, self.name, size_mib * MiB)
            self.addCleanup(self._remove_image)
            with rbd.Image(ioctx, self.name) as image:
                fill(image, data_mib)
                if snapshot:
                    image.create_snap(snapshot)
        return spec.RbdImage(place(self.first, 'images'), self.name,
                             snapshot or None)

    def _remove_image(self):
        with self.first.ioctx('images') as ioctx:
            target_mod.remove(ioctx, self.name)

    def digest(self, cluster, pool, name, snapshot=None):
        with cluster.ioctx(pool) as ioctx, rbd.Image(
                ioctx, name, snapshot=snapshot, read_only=True) as image:
            return digest(image)

    def original(self, source, **values):
        return original(self.name, source, **values)

    def clone(self, cluster, name):
        """Clone a seed as a volume is cloned; removed after the test."""
        with cluster.ioctx('volumes', 'cinder') as ioctx:
            rbd.RBD().clone(ioctx, record_mod.seed_name(self.name),
                            record_mod.SEED_SNAPSHOT, ioctx, name)

    def ours(self, cluster, pool='volumes'):
        """Return the images of this test that a pool holds."""
        return [name for name in cluster.images(pool) if self.name in name]

    def entry(self, cluster, target=None):
        with cluster.ioctx('volumes') as ioctx:
            return ledger.Ledger(ioctx).read(
                target or record_mod.seed_name(self.name))


def environment() -> dict[str, str]:
    """Return the environment for a helper process of a test."""
    return {key: value for key, value in os.environ.items()
            if key != 'PYTHONDONTWRITEBYTECODE'}
