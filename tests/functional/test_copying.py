# SPDX-License-Identifier: Apache-2.0
"""Volumes from images of other clusters, and volumes that change tags.

With real Glance, Cinder and Ceph clusters.
"""

import os

from keystoneauth1 import loading
from oslo_config import cfg
import rbd

from cinder_tagged.copy import ledger
from cinder_tagged.volume import gone
from tests.functional import cinder_driver
from tests.functional import test_images

MIB = 1024 ** 2
# The cluster of Glance's default store, and two others by their tags.
HOME, FAR, PRIVATE = 'ceph-ssd-a', 'ceph-hdd', 'ceph-ssd-b'


class CopyingTest(test_images.ImageCase):

    def setUp(self):
        super().setUp()
        self.data = os.urandom(6 * MIB) + bytes(11 * MIB) + b'end'

    def parent(self, volume):
        """Return (cluster, parent) of a volume's image."""
        (name,) = self.clusters_with(volume.id)
        with self.clusters[name].ioctx('volumes') as ioctx, rbd.Image(
                ioctx, f'volume-{volume.id}', read_only=True) as image:
            self.assertEqual(self.data, image.read(0, len(self.data)))
            try:
                return name, tuple(image.parent_info())
            except rbd.ImageNotFound:
                return name, None

    def record(self, cluster, image):
        with self.clusters[cluster].ioctx('volumes') as ioctx:
            return ledger.Ledger(ioctx).read(f'seed-{image}').record

    def read_cinder_conf(self):
        """Configure this process like the services, for this test."""
        # Asking registers options with the process's configuration, some of
        # them required: tests after this one have no use for them.
        self.addCleanup(cfg.CONF.unregister_opts,
                        loading.get_auth_plugin_conf_options('password'),
                        'service_user')
        self.addCleanup(cfg.CONF.reset)
        cfg.CONF([], project='cinder', default_config_dirs=[],
                 default_config_files=[str(
                     self.sandbox.layout.state / 'cinder' / 'cinder.conf')])

    def test_seed_is_made_once(self):
        image = self.upload(self.data)
        volumes = [self.create_volume(imageRef=image, volume_type='hdd')
                   for _ in range(2)]
        for volume in volumes:
            self.assertEqual(
                (FAR, ('volumes', f'seed-{image}', 'seed')),
                self.parent(volume))
        self.assertEqual(1, self.record(FAR, image).epoch)

    def test_images_that_are_gone_are_known(self):
        there, gone_one = self.upload(self.data), self.upload(self.data)
        self.drop_image(gone_one)
        self.read_cinder_conf()
        self.assertEqual([gone_one], gone.among([there, gone_one]))

    def test_sweep_removes_the_seed_of_an_image_that_is_gone(self):
        images = [self.upload(self.data) for _turn in range(2)]
        for image in images:
            volume = self.create_volume(imageRef=image, volume_type='hdd')
            self.delete_volume(volume.id)
        self.drop_image(images[0])
        # A sweep of the service's own configuration, without its pause.
        self.read_cinder_conf()
        driver = cinder_driver.make_driver(FAR)
        self.addCleanup(driver.close)
        cinder_driver.set_up(driver)
        driver._copies.sweep()
        seeds = {f'seed-{image}' for image in images}
        self.assertEqual({f'seed-{images[1]}'},
                         seeds & set(self.clusters[FAR].images()))
        self.assertIsNone(self.record(FAR, images[0]))
        self.assertIn(images[1], driver._copies.seen.told())
        self.assertNotIn(images[0], driver._copies.seen.told())

    def test_image_of_a_tagged_store_in_another_cluster(self):
        image = self.upload(self.data, feature='hdd')
        volume = self.create_volume(imageRef=image, volume_type='private')
        self.assertEqual((PRIVATE, ('volumes', f'seed-{image}', 'seed')),
                         self.parent(volume))

    def test_retype_moves_by_the_same_engine(self):
        image = self.upload(self.data)
        volume = self.create_volume(imageRef=image, volume_type='hdd')
        self.cinder.retype_volume(volume.id, 'private', 'on-demand')
        self.wait_until(
            lambda: self.cinder.get_volume(volume.id).status
            in ('available', 'error')
            and self.clusters_with(volume.id) == [PRIVATE],
            f'volume {volume.id} moved')
        self.wait_until(
            lambda: self.cinder.get_volume(volume.id).volume_type
            == 'private', 'type changed')
        volume = self.cinder.get_volume(volume.id)
        self.assertEqual('available', volume.status)
        self.assertEqual(PRIVATE, self.backend_of(volume.id))
        # A generic migration would have left a volume of another name.
        self.assertEqual((PRIVATE, None), self.parent(volume))

    def test_migrate(self):
        image = self.upload(self.data)
        # Of two clusters, the other one: it has to serve the type, too.
        volume = self.create_volume(imageRef=image, volume_type='public')
        target = FAR if self.backend_of(volume.id) == HOME else HOME
        (host,) = [pool.name for pool in self.cinder.backend_pools()
                   if f'@{target}#' in pool.name]
        self.cinder.migrate_volume(volume.id, host=host)
        self.wait_until(
            lambda: self.cinder.get_volume(volume.id).migration_status
            in ('success', 'error'), f'volume {volume.id} migrated')
        self.assertEqual(target, self.backend_of(volume.id))
        self.assertEqual((target, None), self.parent(volume))
