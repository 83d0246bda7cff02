# SPDX-License-Identifier: Apache-2.0
"""What users do with volumes, through the driver, on a real cluster."""

from concurrent import futures

from cinder import exception
import rbd

from tests.functional import cinder_driver
from tests.functional import driver_base

GIB = 1024 ** 3


class OperationsTest(driver_base.DriverCase):

    def setUp(self):
        super().setUp()
        self.driver = self.started()

    def image(self, volume):
        """Return size, order, features and snapshots of an image."""
        with self.cluster.ioctx('volumes') as ioctx, \
                rbd.Image(ioctx, volume.name, read_only=True) as image:
            stat = image.stat()
            return (stat['size'], stat['order'], image.features(),
                    [snap['name'] for snap in image.list_snaps()])

    def made(self, size=1):
        volume = cinder_driver.volume(size)
        self.driver.create_volume(volume)
        return volume

    def test_life_of_a_volume(self):
        volume = self.made(size=2)
        size, order, _, snapshots = self.image(volume)
        self.assertEqual((2 * GIB, 22, []), (size, order, snapshots))
        self.driver.extend_volume(volume, 3)
        self.assertEqual(3 * GIB, self.image(volume)[0])
        self.driver.delete_volume(volume)
        self.assertNotIn(volume.name, self.cluster.images())
        self.driver.delete_volume(volume)

    def test_same_image_as_from_the_stock_driver(self):
        volume = self.made()
        stock = self.started(volume_driver=cinder_driver.STOCK)
        other = cinder_driver.volume()
        stock.create_volume(other)
        self.assertEqual(self.image(other), self.image(volume))

    def test_same_connection_data_as_from_the_stock_driver(self):
        volume = self.made()
        ours = self.driver.initialize_connection(volume, {})
        stock = self.started(volume_driver=cinder_driver.STOCK,
                             rbd_secret_uuid=self.cluster.fsid)
        self.assertEqual(stock.initialize_connection(volume, {}), ours)

    def test_snapshot_and_clones(self):
        volume = self.made()
        snapshot = cinder_driver.snapshot(volume)
        self.driver.create_snapshot(snapshot)
        self.assertEqual([snapshot.name], self.image(volume)[3])
        from_snapshot = cinder_driver.volume(2)
        self.driver.create_volume_from_snapshot(from_snapshot, snapshot)
        self.assertEqual(2 * GIB, self.image(from_snapshot)[0])
        clone = cinder_driver.volume()
        self.driver.create_cloned_volume(clone, volume)
        for gone in (from_snapshot, clone):
            self.driver.delete_volume(gone)
        self.driver.delete_snapshot(snapshot)
        self.driver.delete_volume(volume)
        for name in (volume.name, from_snapshot.name, clone.name):
            self.assertNotIn(name, self.cluster.images())

    def test_tools_of_ceph_take_our_limits(self):
        volume = self.made()
        # Runs "rbd status" for each image.
        found = self.driver.get_manageable_volumes(
            [], None, 1000, 0, ['size'], ['asc'])
        self.assertIn(volume.name, [
            image['reference']['source-name'] for image in found])
        source = self.directory / 'image'
        source.write_bytes(b'data')
        other = cinder_driver.volume()
        self.driver._execute(
            'rbd', 'import', '--pool', 'volumes', str(source), other.name,
            '--new-format', *self.driver._ceph_args())
        self.assertEqual(4, self.image(other)[0])

    def test_read_as_a_file(self):
        volume = self.made()
        with self.cluster.ioctx('volumes') as ioctx, \
                rbd.Image(ioctx, volume.name) as image:
            image.write(b'begin', 0)
            image.write(b'end', GIB - 3)
        handle = self.driver._get_rbd_handle(volume)
        with handle:
            self.assertEqual(b'begin', handle.read(5))
            handle.seek(GIB - 3)
            self.assertEqual(b'end', handle.read())
        self.driver.delete_volume(volume)
        self.assertEqual([0], [slot.users for slot in
                               self.driver.access.pool._slots])

    def test_volume_with_a_clone_is_kept_for_it(self):
        volume, clone = self.made(), cinder_driver.volume()
        self.driver.create_cloned_volume(clone, volume)
        self.driver.delete_volume(volume)
        self.assertIn(f'{volume.name}.deleted', self.cluster.images())

    def test_many_at_once_share_few_connections(self):
        volumes = [cinder_driver.volume() for _ in range(40)]
        with futures.ThreadPoolExecutor(16) as workers:
            list(workers.map(self.driver.create_volume, volumes))
            self.assertTrue({v.name for v in volumes}.issubset(
                self.cluster.images()))
            list(workers.map(self.driver.delete_volume, volumes))
        self.assertTrue({v.name for v in volumes}.isdisjoint(
            self.cluster.images()))
        self.assertLessEqual(len(self.driver.access.pool), 3)

    def test_statistics(self):
        stats = self.driver.get_volume_stats(refresh=True)
        stock = self.started(volume_driver=cinder_driver.STOCK)
        for key, value in stock.get_volume_stats(refresh=True).items():
            if key not in ('driver_version', 'free_capacity_gb',
                           'total_capacity_gb'):
                self.assertEqual((key, value), (key, stats[key]))
        self.assertGreater(stats['free_capacity_gb'], 1)
        self.assertEqual(
            {'feature_tags': ['ssd'], 'feature_weight': 1.0,
             'feature_fsid': self.cluster.fsid, 'feature_cluster': 'east',
             'feature_pool': 'volumes', 'feature_backend': 'east',
             'feature_images': []},
            {key: value for key, value in stats.items()
             if key.startswith('feature_')})

    def test_provisioned_size_of_a_pool_that_others_use(self):
        driver = self.started(rbd_exclusive_cinder_pool=False)
        before = driver.get_volume_stats(refresh=True)
        self.made(size=7)
        after = driver.get_volume_stats(refresh=True)
        self.assertEqual(7, after['provisioned_capacity_gb']
                         - before['provisioned_capacity_gb'])

    # -- an image of the name is there already ------------------------------

    def test_unused_image_is_taken_over(self):
        volume = self.made()
        with self.cluster.ioctx('volumes') as ioctx, \
                rbd.Image(ioctx, volume.name) as image:
            identity = image.id()
        self.driver.create_volume(volume)
        with self.cluster.ioctx('volumes') as ioctx, \
                rbd.Image(ioctx, volume.name) as image:
            self.assertEqual(identity, image.id())

    def test_unfinished_image_is_made_again(self):
        volume = cinder_driver.volume()
        with self.cluster.ioctx('volumes') as ioctx:
            ioctx.write_full(f'rbd_id.{volume.name}', b'\x03\0\0\0abc')
        self.driver.create_volume(volume)
        self.assertEqual(GIB, self.image(volume)[0])

    def test_create_fails_on_an_image_with_data(self):
        volume = self.made()
        with self.cluster.ioctx('volumes') as ioctx, \
                rbd.Image(ioctx, volume.name) as image:
            image.write(b'precious', 5 << 20)
        error = self.assertRaises(exception.VolumeBackendAPIException,
                                  self.driver.create_volume, volume)
        self.assertIn('data has been written', str(error))
        with self.cluster.ioctx('volumes') as ioctx, \
                rbd.Image(ioctx, volume.name) as image:
            self.assertEqual(b'precious', image.read(5 << 20, 8))

    def test_create_fails_on_an_image_in_use(self):
        volume = self.made()
        with self.cluster.ioctx('volumes') as ioctx, \
                rbd.Image(ioctx, volume.name):
            error = self.assertRaises(exception.VolumeBackendAPIException,
                                      self.driver.create_volume, volume)
        self.assertIn('in use by', str(error))

    def test_create_fails_on_an_image_of_another_size(self):
        volume = self.made()
        volume.size = 5
        error = self.assertRaises(exception.VolumeBackendAPIException,
                                  self.driver.create_volume, volume)
        self.assertIn('its size is', str(error))
        self.assertEqual(GIB, self.image(volume)[0])

    def test_create_fails_on_a_snapshotted_image(self):
        volume = self.made()
        self.driver.create_snapshot(cinder_driver.snapshot(volume))
        error = self.assertRaises(exception.VolumeBackendAPIException,
                                  self.driver.create_volume, volume)
        self.assertIn('has snapshots', str(error))
