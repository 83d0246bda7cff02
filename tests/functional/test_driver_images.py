# SPDX-License-Identifier: Apache-2.0
"""Volumes from images of other clusters, and volumes that move."""

from concurrent import futures
import contextlib
import hashlib
import os
import pathlib
import random
import signal
import subprocess
import tempfile
import time
import uuid

from cinder import context
from cinder import exception
import ddt
import fixtures
from oslo_config import cfg
from oslotest import base
import rbd

from cinder_tagged.copy import ledger
from cinder_tagged.copy.core.record import State
from devstack.sandbox.process import wait_until
from tests.functional import cinder_driver
from tests.functional.copying import base as copy_base

MiB = 1 << 20
GiB = 1 << 30
BACKENDS = ('east', 'west', 'north')


class ImageService:
    """Glance, as far as the driver knows it."""

    def __init__(self, data=b''):
        self.data = data
        self.downloads = 0

    def download(self, _context, _image_id):
        self.downloads += 1
        for start in range(0, len(self.data), 65536):
            yield self.data[start:start + 65536]


class ThreeClusters(base.BaseTestCase):
    """A backend on each of three clusters; images are on the first."""

    def setUp(self):
        self.clusters = dict(zip(BACKENDS, copy_base.clusters(3),
                                 strict=True))
        super().setUp()
        self.directory = pathlib.Path(
            self.useFixture(fixtures.TempDir()).path)
        self.addCleanup(cfg.CONF.reset)
        self.admin = context.get_admin_context()
        self.image_id = str(uuid.uuid4())
        self.names = {f'seed-{self.image_id}'}
        for cluster in self.clusters.values():
            self.addCleanup(self._empty, cluster)
        self.drivers = self.start()

    def start(self, **options):
        cinder_driver.write_conf(self.directory / 'cinder.conf', {
            name: cinder_driver.options_of(
                cluster, feature_tags=name, copy_lease=2, **options)
            for name, cluster in self.clusters.items()})
        drivers = {}
        for name in BACKENDS:
            drivers[name] = cinder_driver.make_driver(name)
            self.addCleanup(drivers[name].close)
            cinder_driver.set_up(drivers[name])
        return drivers

    def _empty(self, cluster):
        with cluster.ioctx('volumes') as ioctx:
            there = set(rbd.RBD().list(ioctx))
            for name in sorted(self.names & there, reverse=True):
                copy_base.target_mod.remove(ioctx, name)
            for name in ledger.Ledger(ioctx).targets():
                if name in self.names:
                    ioctx.remove_object(ledger.oid(name))
                    with copy_base.rados.WriteOpCtx() as op:
                        ioctx.remove_omap_keys(op, (name,))
                        ioctx.operate_write_op(op, 'cinder_tagged.copies')

    def volume(self, size=1, **fields):
        volume = cinder_driver.volume(size, **fields)
        self.names.add(volume.name)
        return volume

    def image(self, size_mib=96, data_mib=12, **meta):
        """Put an image into the first cluster; return what Glance says."""
        pool_image = self.image_id
        with self.clusters['east'].ioctx('images') as ioctx:
            rbd.RBD().create(ioctx, pool_image, size_mib * MiB)
            self.addCleanup(self._remove_image, pool_image)
            with rbd.Image(ioctx, pool_image) as image:
                copy_base.fill(image, data_mib)
                image.create_snap('snap')
                self.content = copy_base.digest(image)
        url = (f'rbd://{self.clusters["east"].fsid}/images/'
               f'{pool_image}/snap')
        return (url, None), self.meta(size_mib * MiB, **meta)

    def _remove_image(self, name):
        with self.clusters['east'].ioctx('images') as ioctx:
            copy_base.target_mod.remove(ioctx, name)

    def meta(self, size, **meta):
        return {'id': self.image_id, 'disk_format': 'raw',
                'container_format': 'bare', 'size': size,
                'os_hash_value': 'abc', 'properties': {}, **meta}

    def clone(self, backend, location, meta, volume=None, service=None):
        volume = volume or self.volume()
        update, cloned = self.drivers[backend].clone_image(
            self.admin, volume, location, meta, service or ImageService())
        return volume, update, cloned

    def content_of(self, backend, name, size=None):
        """Return the hash of the first bytes of an image."""
        with self.clusters[backend].ioctx('volumes') as ioctx, rbd.Image(
                ioctx, name, read_only=True) as image:
            total = hashlib.sha256()
            size = size or image.size()
            for offset in range(0, size, 4 * MiB):
                total.update(image.read(offset,
                                        min(4 * MiB, size - offset)))
            return total.hexdigest()

    def info(self, backend, name):
        """Return size and parent of an image."""
        with self.clusters[backend].ioctx('volumes') as ioctx, rbd.Image(
                ioctx, name, read_only=True) as image:
            try:
                parent = tuple(image.parent_info())
            except rbd.ImageNotFound:
                parent = None
            return image.size(), parent

    def there(self, backend):
        return set(self.clusters[backend].images()) & self.names


class CloneImageTest(ThreeClusters):

    def test_same_cluster_is_cloned_directly(self):
        location, meta = self.image()
        volume, update, cloned = self.clone('east', location, meta)
        self.assertTrue(cloned)
        self.assertIsNone(update['provider_location'])
        self.assertEqual((GiB, ('images', self.image_id, 'snap')),
                         self.info('east', volume.name))
        self.assertEqual({volume.name}, self.there('east'))

    def test_other_cluster_is_copied_once_then_cloned(self):
        location, meta = self.image()
        service = ImageService()
        volumes = []
        for _ in range(3):
            volume, update, cloned = self.clone('west', location, meta,
                                                service=service)
            volumes.append(volume)
            self.assertTrue(cloned)
            self.assertIsNone(update['provider_location'])
        self.assertEqual(0, service.downloads)
        for volume in volumes:
            self.assertEqual(
                (GiB, ('volumes', f'seed-{self.image_id}', 'seed')),
                self.info('west', volume.name))
            self.assertEqual(self.content, self.content_of(
                'west', volume.name, 96 * MiB))
        self.assertEqual(
            {f'seed-{self.image_id}', *(v.name for v in volumes)},
            self.there('west'))
        for volume in volumes:
            self.drivers['west'].delete_volume(volume)
        self.assertEqual({f'seed-{self.image_id}'}, self.there('west'))

    def test_twenty_at_once_over_three_clusters(self):
        location, meta = self.image()
        service = ImageService()
        work = [BACKENDS[i % 3] for i in range(20)]
        with futures.ThreadPoolExecutor(20) as pool:
            done = list(pool.map(lambda backend: self.clone(
                backend, location, meta, service=service), work))
        self.assertTrue(all(cloned for _v, _u, cloned in done))
        self.assertEqual(0, service.downloads)
        for backend in ('west', 'north'):
            with self.clusters[backend].ioctx('volumes') as ioctx:
                record = ledger.Ledger(ioctx).read(
                    f'seed-{self.image_id}').record
            self.assertEqual((1, State.READY), (record.epoch, record.state))
        self.assertNotIn(f'seed-{self.image_id}', self.there('east'))

    def test_image_outside_rbd_is_streamed_once(self):
        data = random.Random(3).randbytes(5 * MiB) + bytes(3 * MiB + 512)
        service = ImageService(data)
        meta = self.meta(len(data))
        for location in ((None, None), ('file:///x', None)):
            volume, _update, cloned = self.clone('west', location, meta,
                                                 service=service)
            self.assertTrue(cloned)
            self.assertEqual(
                hashlib.sha256(data).hexdigest(),
                self.content_of('west', volume.name, len(data)))
        self.assertEqual(1, service.downloads)

    def test_unknown_cluster_is_streamed(self):
        service = ImageService(b'x' * MiB)
        location = (f'rbd://{uuid.uuid4()}/images/x/snap', None)
        _volume, _update, cloned = self.clone(
            'west', location, self.meta(MiB), service=service)
        self.assertTrue(cloned)
        self.assertEqual(1, service.downloads)

    def test_unreadable_place_is_passed_over(self):
        service = ImageService(b'x' * MiB)
        location = (f'rbd://{self.clusters["east"].fsid}/images/gone/snap',
                    None)
        _volume, _update, cloned = self.clone(
            'west', location, self.meta(MiB), service=service)
        self.assertTrue(cloned)
        self.assertEqual(1, service.downloads)

    def test_qcow2(self):
        with tempfile.TemporaryDirectory() as directory:
            raw, qcow2 = (pathlib.Path(directory, name)
                          for name in ('raw', 'qcow2'))
            raw.write_bytes(random.Random(5).randbytes(3 * MiB)
                            + bytes(29 * MiB))
            subprocess.run(['qemu-img', 'convert', '-O', 'qcow2', raw,
                            qcow2], check=True, timeout=60)
            data, content = qcow2.read_bytes(), raw.read_bytes()
        volume, _update, cloned = self.clone(
            'west', (None, None),
            self.meta(len(data), disk_format='qcow2'),
            service=ImageService(data))
        self.assertTrue(cloned)
        self.assertEqual(hashlib.sha256(content).hexdigest(),
                         self.content_of('west', volume.name, 32 * MiB))

    def test_what_is_left_to_cinder(self):
        location, meta = self.image(size_mib=8, data_mib=1)
        for change in ({'disk_format': 'vmdk'},
                       {'container_format': 'compressed'},
                       {'properties': {'img_signature': 'x'}},
                       {'properties': {'cinder_encryption_key_id': 'x'}}):
            _volume, update, cloned = self.clone('west', location,
                                                 {**meta, **change})
            self.assertEqual(({}, False), (update, cloned))
        self.assertEqual(set(), self.there('west'))

    def test_larger_than_the_volume(self):
        location, meta = self.image(size_mib=1025, data_mib=1)
        self.assertRaises(exception.ImageUnacceptable, self.clone, 'west',
                          location, meta)
        self.assertEqual(set(), self.there('west'))

    def test_failure_falls_back(self):
        def data():
            yield b'x' * 1000
            raise OSError('Glance went away')

        service = ImageService()
        service.download = lambda *_args: data()
        _volume, update, cloned = self.clone(
            'west', (None, None), self.meta(MiB), service=service)
        self.assertEqual(({}, False), (update, cloned))
        self.assertEqual(set(), self.there('west'))

    def test_switched_off(self):
        location, meta = self.image(size_mib=8, data_mib=1)
        for driver in self.drivers.values():
            driver.close()
        self.drivers = self.start(image_seeds=False)
        self.assertFalse(self.clone('west', location, meta)[2])


@ddt.ddt
class MoveTest(ThreeClusters):

    def setUp(self):
        super().setUp()
        self.moved = self.volume(1)
        self.moved.status = 'available'
        self.drivers['east'].create_volume(self.moved)
        with self.open('east') as image:
            copy_base.fill(image, 24)
            image.metadata_set('conf_rbd_qos_iops_limit', '500')
            self.content = copy_base.digest(image)

    @contextlib.contextmanager
    def open(self, backend):
        with self.clusters[backend].ioctx('volumes') as ioctx, rbd.Image(
                ioctx, self.moved.name) as image:
            yield image

    def host(self, backend):
        stats = self.drivers[backend].get_volume_stats(refresh=True)
        return {'host': f'host@{backend}', 'capabilities': stats}

    def move(self, to='west', volume=None):
        return self.drivers['east'].migrate_volume(
            self.admin, volume or self.moved, self.host(to))

    def assert_untouched(self):
        self.assertEqual(self.content,
                         self.content_of('east', self.moved.name))

    def test_move(self):
        self.assertEqual((True, None), self.move())
        self.assertEqual(set(), self.there('east'))
        self.assertEqual(self.content,
                         self.content_of('west', self.moved.name))
        with self.open('west') as image:
            self.assertEqual(
                '500', image.metadata_get('conf_rbd_qos_iops_limit'))
        self.drivers['west'].delete_volume(self.moved)
        self.assertEqual(set(), self.there('west'))

    def test_move_there_and_back(self):
        self.move()
        moved, _ = self.drivers['west'].migrate_volume(
            self.admin, self.moved, self.host('east'))
        self.assertTrue(moved)
        self.assert_untouched()
        self.assertTrue(self.move()[0])

    def test_a_move_that_was_not_noted_is_finished(self):
        self.move()
        self.assertEqual((True, None), self.move())

    def copying_process(self):
        """Return the process that copies, stopped in its work."""
        def children():
            # A thread's children are those that it started.
            return [int(pid) for task in pathlib.Path(
                '/proc/self/task').iterdir() for pid in (
                task / 'children').read_text().split()
                if b'cinder_tagged.copy.worker' in pathlib.Path(
                    '/proc', pid, 'cmdline').read_bytes()]

        wait_until(children, 60, 'a process copies')
        (pid,) = children()
        os.kill(pid, signal.SIGSTOP)
        while not self.there('west'):
            os.kill(pid, signal.SIGCONT)
            time.sleep(0.02)
            os.kill(pid, signal.SIGSTOP)
        return pid

    @ddt.data(signal.SIGTERM, signal.SIGKILL)
    def test_a_move_that_breaks_off_leaves_the_source(self, how):
        with self.open('east') as image:
            copy_base.fill(image, 256)
            self.content = copy_base.digest(image)
        with futures.ThreadPoolExecutor(1) as mover:
            moving = mover.submit(self.move)
            pid = self.copying_process()
            os.kill(pid, how)
            os.kill(pid, signal.SIGCONT)
            self.assertRaises(exception.VolumeMigrationFailed,
                              moving.result)
        self.assert_untouched()
        if how == signal.SIGTERM:  # it was cancelled, and tidied up
            self.assertEqual(set(), self.there('west'))
        self.assertEqual((True, None), self.move())
        self.assertEqual(set(), self.there('east'))
        self.assertEqual(self.content,
                         self.content_of('west', self.moved.name))

    def test_snapshots_are_refused(self):
        with self.open('east') as image:
            image.create_snap(f'snapshot-{uuid.uuid4()}')
        exc = self.assertRaises(exception.VolumeMigrationFailed, self.move)
        self.assertIn('delete them first', str(exc))
        self.assert_untouched()
        self.assertEqual(set(), self.there('west'))

    def test_open_images_are_refused(self):
        with self.open('east'):
            exc = self.assertRaises(exception.VolumeMigrationFailed,
                                    self.move)
        self.assertIn('in use', str(exc))
        self.assert_untouched()

    def test_attached_volumes_are_left_to_nova(self):
        self.moved.status = 'in-use'
        self.assertEqual((False, None), self.move())
        self.assert_untouched()

    def test_a_stranger_at_the_destination_is_not_touched(self):
        with self.clusters['west'].ioctx('volumes') as ioctx:
            rbd.RBD().create(ioctx, self.moved.name, 5 * MiB)
        exc = self.assertRaises(exception.VolumeMigrationFailed, self.move)
        self.assertIn('no copy made it', str(exc))
        self.assertEqual(5 * MiB, self.info('west', self.moved.name)[0])
        self.assert_untouched()

    def test_unknown_cluster_is_left_to_cinder(self):
        host = self.host('west')
        host['capabilities']['location_info'] = (
            f'ceph:/nowhere:{uuid.uuid4()}:cinder:volumes')
        self.assertEqual((False, None), self.drivers[
            'east'].migrate_volume(self.admin, self.moved, host))

    def test_a_clone_moves_as_a_whole_volume(self):
        location, meta = self.image(size_mib=64, data_mib=8)
        volume, _update, _cloned = self.clone('east', location, meta)
        volume.status = 'available'
        content = self.content_of('east', volume.name)
        self.assertTrue(self.move('north', volume)[0])
        self.assertEqual((GiB, None), self.info('north', volume.name))
        self.assertEqual(content, self.content_of('north', volume.name))
