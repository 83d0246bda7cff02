# SPDX-License-Identifier: Apache-2.0
"""Clusters that go away, come back, and turn connections away."""

import time

from cinder import exception
import rados

from devstack.sandbox.process import wait_until
from tests.functional import cinder_driver
from tests.functional import driver_base


class FencedTest(driver_base.DriverCase):
    """The cluster shuts connections down, as fencing does."""

    def test_kept_connection_is_replaced(self):
        driver = self.started(rados_connection_check_after=0)
        driver.create_volume(cinder_driver.volume())
        self.assertEqual(1, self.blocklist(driver))
        volume = cinder_driver.volume()
        driver.create_volume(volume)
        self.assertIn(volume.name, self.cluster.images())

    def test_work_cut_short_is_done_again(self):
        # The connection is trusted for an hour, so it fails in use.
        driver = self.started(rados_connection_check_after=3600)
        old = cinder_driver.volume()
        driver.create_volume(old)
        for work in (driver.create_volume, driver.delete_volume):
            self.assertEqual(1, self.blocklist(driver))
            volume = (cinder_driver.volume()
                      if work == driver.create_volume else old)
            work(volume)
            self.assertEqual(work == driver.create_volume,
                             volume.name in self.cluster.images())

    def test_other_work_fails_once(self):
        driver = self.started(rados_connection_check_after=3600)
        volume = cinder_driver.volume()
        driver.create_volume(volume)
        self.assertEqual(1, self.blocklist(driver))
        snapshot = cinder_driver.snapshot(volume)
        self.assertRaises(driver.rbd.ConnectionShutdown,
                          driver.create_snapshot, snapshot)
        driver.create_snapshot(snapshot)


class AwayAtStartTest(driver_base.DriverCase):

    def setUp(self):
        super().setUp()
        self.addCleanup(self.cluster.wait_healthy)
        self.addCleanup(self.cluster.mon.start)
        self.cluster.mon.kill()

    def check(self, driver):
        """Start with the cluster away; then it comes."""
        cinder_driver.set_up(driver)
        stats = driver.get_volume_stats(refresh=True)
        self.assertEqual(('down', 0, 0, ['ssd']), (
            stats['backend_state'], stats['free_capacity_gb'],
            stats['total_capacity_gb'], stats['feature_tags']))
        volume = cinder_driver.volume()
        self.assertRaises(exception.VolumeBackendAPIException,
                          driver.create_volume, volume)
        driver.ensure_export(None, volume)
        self.cluster.mon.start()
        self.wait_state(driver, 'up')
        driver.create_volume(volume)
        self.assertIn(volume.name, self.cluster.images())
        stats = driver.get_volume_stats(refresh=True)
        self.assertEqual(self.cluster.fsid, stats['feature_fsid'])
        self.assertGreater(stats['free_capacity_gb'], 0)
        data = driver.initialize_connection(volume, {})['data']
        self.assertEqual(self.cluster.fsid, data['secret_uuid'])

    def test_fsid_is_in_the_file(self):
        driver = self.make()
        self.check(driver)

    def test_fsid_is_not_in_the_file(self):
        bare = self.directory / 'bare.conf'
        bare.write_text(''.join(
            line for line in self.cluster.conf.open()
            if not line.startswith('fsid')))
        driver = self.make(rbd_ceph_conf=bare)
        cinder_driver.set_up(driver)
        stats = driver.get_volume_stats(refresh=True)
        self.assertEqual(('down', ''), (stats['backend_state'],
                                        stats['feature_fsid']))
        self.check(driver)

    def test_trash_is_emptied_again_later(self):
        driver = self.make(enable_deferred_deletion=True,
                           deferred_deletion_purge_interval=3600)
        cinder_driver.set_up(driver)
        driver._trash_purge()


class GoesAwayTest(driver_base.DriverCase):

    def setUp(self):
        super().setUp()
        self.addCleanup(self.cluster.wait_healthy)
        self.driver = self.started()
        # The test before may have left the OSD out of breath.
        wait_until(self.serves, driver_base.WAIT, 'the first volume')

    def serves(self):
        try:
            self.driver.create_volume(cinder_driver.volume())
        except exception.VolumeBackendAPIException:
            return False
        return True

    def works(self):
        volume = cinder_driver.volume()
        self.driver.create_volume(volume)
        self.assertIn(volume.name, self.cluster.images())
        self.driver.delete_volume(volume)

    def fails(self):
        self.assertRaises(exception.VolumeBackendAPIException,
                          self.driver.create_volume, cinder_driver.volume())

    def test_frozen_osd(self):
        self.cluster.pause('osd')
        self.addCleanup(self.cluster.resume, 'osd')
        self.wait_state(self.driver, 'down')
        # What "ceph status" is based on sees nothing wrong.
        self.assertEqual(1, self.command('osd stat')['num_up_osds'])
        self.fails()
        self.cluster.resume('osd')
        self.wait_state(self.driver, 'up')
        self.works()

    def test_work_under_way_ends_when_the_osd_freezes(self):
        # No probe in between: the work itself runs into the fault.
        driver = self.started(cluster_probe_interval=3600)
        driver.create_volume(cinder_driver.volume())
        self.cluster.pause('osd')
        self.addCleanup(self.cluster.resume, 'osd')
        for work in (
                lambda: driver.create_volume(cinder_driver.volume()),
                lambda: driver.delete_volume(cinder_driver.volume())):
            self.assertRaises((exception.VolumeBackendAPIException,
                               driver.rbd.Timeout), work)
        self.cluster.resume('osd')
        wait_until(lambda: self.command('osd stat')['num_up_osds'] == 1,
                   driver_base.WAIT, 'OSD up')
        driver.create_volume(cinder_driver.volume())

    def test_dead_mon(self):
        self.cluster.kill('mon')
        self.wait_state(self.driver, 'down')
        self.fails()
        self.cluster.mon.start()
        self.wait_state(self.driver, 'up')
        self.works()

    def test_whole_cluster_restarts(self):
        self.cluster.kill()
        self.wait_state(self.driver, 'down')
        self.cluster.start()
        self.wait_state(self.driver, 'up')
        self.works()

    def test_provisioned_size_does_not_wait(self):
        driver = self.started(rbd_exclusive_cinder_pool=False,
                              cluster_probe_interval=3600)
        before = driver.get_volume_stats(refresh=True)
        self.cluster.pause('osd')
        self.addCleanup(self.cluster.resume, 'osd')
        after = driver.get_volume_stats(refresh=True)
        self.assertEqual(before['provisioned_capacity_gb'],
                         after['provisioned_capacity_gb'])

    def test_dead_manager_is_no_outage(self):
        before = self.driver.get_volume_stats(refresh=True)
        self.cluster.kill('mgr')
        self.addCleanup(self.cluster.mgr.start)
        taken = time.monotonic()
        wait_until(lambda: self.driver.access.monitor.latest.taken > taken,
                   driver_base.WAIT, 'a probe')
        stats = self.driver.get_volume_stats(refresh=True)
        self.assertEqual('up', stats['backend_state'])
        self.assertEqual(before['total_capacity_gb'],
                         stats['total_capacity_gb'])


class FullTest(driver_base.DriverCase):

    def test_full_is_not_down(self):
        driver = self.started()
        for _ in range(3):
            driver.create_volume(cinder_driver.volume())
        self.command('osd pool set-quota', pool='volumes',
                     field='max_objects', val='1')
        probe = 'cinder_tagged.probe.host@east'
        with self.cluster.ioctx('volumes', timeout=2) as ioctx:
            def held_back():
                try:
                    ioctx.write_full('other', b'x' * 4096)
                except rados.TimedOut:
                    return True
                return False
            wait_until(held_back, driver_base.WAIT, 'pool full')
            ioctx.stat(probe)
        taken = time.monotonic()
        wait_until(lambda: driver.access.monitor.latest.taken > taken,
                   driver_base.WAIT, 'a probe')
        self.assertEqual('up', driver.get_volume_stats(refresh=True)[
            'backend_state'])
