# SPDX-License-Identifier: Apache-2.0
"""Configuration errors that only a cluster, or its files, can show."""

import shutil

from cinder import context

from cinder_tagged import exceptions
from devstack.sandbox.ceph import CephCluster
from tests.functional import cinder_driver
from tests.functional import driver_base


class ConfigurationTest(driver_base.DriverCase):

    def refused(self, driver):
        error = self.assertRaises(exceptions.FeatureConfigError,
                                  driver.do_setup,
                                  context.get_admin_context())
        self.assertTrue(error.remedy)
        self.assertIn('[', error.where)
        return error

    def keyring(self, text):
        path = self.directory / 'keyring'
        path.write_text(text)
        conf = self.directory / 'ceph.conf'
        conf.write_text(self.cluster.conf.read_text().replace(
            f'{self.cluster.directory}/client.cinder.keyring', str(path)))
        return conf

    def test_good(self):
        driver = self.make()
        driver.do_setup(context.get_admin_context())
        driver.check_for_setup_error()

    def test_no_tags(self):
        error = self.refused(self.make(feature_tags=''))
        self.assertEqual('feature_tags', error.option)

    def test_weight(self):
        error = self.refused(self.make(feature_weight='heavy'))
        self.assertEqual(('feature_weight', 'heavy'),
                         (error.option, error.value))

    def test_no_conf(self):
        error = self.refused(self.make(rbd_ceph_conf='/nowhere/ceph.conf'))
        self.assertEqual(('rbd_ceph_conf', '/nowhere/ceph.conf'),
                         (error.option, error.value))

    def test_no_keyring(self):
        error = self.refused(self.make(rbd_user='nobody'))
        self.assertIn('client.nobody', str(error))

    def test_keyring_of_another_user(self):
        conf = self.keyring('[client.glance]\nkey = AQ==\n')
        error = self.refused(self.make(rbd_ceph_conf=conf))
        self.assertIn(str(self.directory / 'keyring'), error.value)

    def test_wrong_key(self):
        conf = self.keyring(
            '[client.cinder]\n'
            'key = AQBpvF1fAAAAABAAMDAwMDAwMDAwMDAwMDAwMA==\n')
        error = self.refused(self.make(rbd_ceph_conf=conf))
        self.assertEqual(('rbd_user', 'client.cinder'),
                         (error.option, error.value))

    def test_no_pool(self):
        error = self.refused(self.make(rbd_pool='missing'))
        self.assertEqual(('rbd_pool', 'missing'),
                         (error.option, error.value))

    def test_user_may_not_write(self):
        conf = self.directory / 'ceph.conf'
        conf.write_text(self.cluster.conf.read_text())
        error = self.refused(self.make(rbd_ceph_conf=conf,
                                       rbd_user='glance'))
        self.assertEqual(('rbd_user', 'client.glance'),
                         (error.option, error.value))
        self.assertIn('profile rbd pool=volumes', error.remedy)

    def test_pool_of_an_earlier_stanza(self):
        copy = self.directory / 'copy.conf'
        shutil.copy(self.cluster.conf, copy)
        self.conf(one={}, two={'rbd_ceph_conf': copy,
                               'feature_tags': 'hdd'})
        first, second = self.driver_of('one'), self.driver_of('two')
        first.do_setup(context.get_admin_context())
        error = self.refused(second)
        self.assertEqual('rbd_pool', error.option)
        for word in ('one', 'two', self.cluster.fsid):
            self.assertIn(word, str(error))

    def test_refused_then_repaired(self):
        # The manager sets a driver up again a few times.
        driver = self.make(rbd_pool='late')
        self.refused(driver)
        self.command('osd pool create', pool='late', pg_num=8, pgp_num=8)
        with self.cluster.connect() as admin:
            self.cluster.command(admin, 'auth caps', entity='client.cinder',
                                 caps=['mon', 'profile rbd', 'osd',
                                       'profile rbd'])
        driver.do_setup(context.get_admin_context())
        driver.check_for_setup_error()


class SeveralClustersTest(driver_base.DriverCase):

    def test_each_backend_has_its_cluster(self):
        west = CephCluster(name='west')
        self.addCleanup(west.stop)
        west.start()
        cinder_driver.write_conf(self.directory / 'cinder.conf', {
            'east': cinder_driver.options_of(self.cluster),
            'west': cinder_driver.options_of(
                west, feature_tags='medium:hdd, type:public',
                feature_weight='0')})
        for backend, cluster, tags in (
                ('east', self.cluster, ['ssd']),
                ('west', west, ['medium:hdd', 'type:public'])):
            driver = self.driver_of(backend)
            cinder_driver.set_up(driver)
            stats = driver.get_volume_stats(refresh=True)
            self.assertEqual((cluster.fsid, tags), (
                stats['feature_fsid'], stats['feature_tags']))
            volume = cinder_driver.volume()
            driver.create_volume(volume)
            self.assertIn(volume.name, cluster.images())
