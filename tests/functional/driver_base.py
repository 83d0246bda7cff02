# SPDX-License-Identifier: Apache-2.0
"""Ground for tests of the volume driver: real clusters, real files."""

import pathlib

import fixtures
from oslo_config import cfg
from oslotest import base

from devstack.sandbox.ceph import CephCluster
from devstack.sandbox.process import wait_until
from tests.functional import cinder_driver

WAIT = 120


class DriverCase(base.BaseTestCase):
    """One cluster for all tests of a class."""

    #: Short pauses and limits, since these tests wait for faults; yet long
    #: enough for a machine that is busy with other things.
    QUICK = {'cluster_probe_interval': 1, 'cluster_probe_deadline': 5,
             'rados_mount_timeout': 5, 'rados_mon_timeout': 5,
             'rados_osd_timeout': 10, 'rados_connection_interval': 1,
             'rados_connection_retries': 2}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.cluster = CephCluster(name='east')
        cls.addClassCleanup(cls.cluster.stop)
        cls.cluster.start()

    def setUp(self):
        super().setUp()
        self.directory = pathlib.Path(
            self.useFixture(fixtures.TempDir()).path)
        self.addCleanup(cfg.CONF.reset)

    def conf(self, **stanzas):
        """Write a cinder.conf; each stanza is given what differs."""
        cinder_driver.write_conf(self.directory / 'cinder.conf', {
            name: cinder_driver.options_of(self.cluster,
                                           **{**self.QUICK, **options})
            for name, options in stanzas.items()})

    def make(self, backend='east', **options):
        """Return a driver that is not set up."""
        self.conf(**{backend: options})
        return self.driver_of(backend)

    def driver_of(self, backend):
        driver = cinder_driver.make_driver(backend)
        if hasattr(driver, 'close'):
            self.addCleanup(driver.close)
        return driver

    def started(self, **options):
        """Return a driver as its service would have it."""
        driver = self.make(**options)
        cinder_driver.set_up(driver)
        return driver

    def wait_state(self, driver, state):
        wait_until(lambda: driver.get_volume_stats(refresh=True)[
            'backend_state'] == state, WAIT, f'backend {state}')

    def command(self, prefix, **arguments):
        with self.cluster.connect() as admin:
            return self.cluster.command(admin, prefix, **arguments)

    def blocklist(self, driver):
        """Have the cluster shut down every connection the driver keeps."""
        slots = list(driver.access.pool._slots)
        with self.cluster.connect() as admin:
            for slot in slots:
                addresses = slot.client.get_addrs()
                admin.blocklist_add(addresses, 600)
        return len(slots)

