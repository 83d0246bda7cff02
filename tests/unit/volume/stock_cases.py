# SPDX-License-Identifier: Apache-2.0
"""Cinder's own cases for its RBD driver, run on the tagged driver.

They replace Ceph by mocks, so that they show which calls the driver makes.
Left out are those about a method that the tagged driver has replaced.

Run by test_stock_cases in a process of its own: Cinder's test modules bring
eventlet, which changes standard modules.
"""

import time
from unittest import mock

from cinder.tests.unit.volume.drivers import test_rbd as stock

from cinder_tagged.ceph import probe
from cinder_tagged.volume import cluster
from cinder_tagged.volume import driver
from cinder_tagged.volume import options

#: Reason -> the beginnings of the cases' names.
LEFT_OUT = {
    'connections are kept, and checked when they are taken again':
        ('test_connect_to_rados',),
    'removes at once, and looks at the image only if that is refused':
        ('test_delete_volume', 'test_delete_busy_volume',
         'test_deferred_deletion'),
    'monitors are asked through librados, not by a command':
        ('test_get_mon_addrs',),
    'capacity and fsid are what the watch saw last':
        ('test_get_pool_', 'test_update_volume_stats',
         'test__set_default_secret_uuid_missing'),
    'the default of rbd_secret_uuid is set again when the fsid is known':
        ('test_do_setup_replication_disabled',),
    'images that go while their sizes are summed up are passed over':
        ('test__get_usage_info',),
    'the tools of Ceph get limits among their arguments':
        ('test_create_encrypted_volume',),
    'the case names no host to migrate to, which Cinder always does':
        ('test_migrate_volume_bad_volume_status',),
    'the case gives no properties of the image, which Cinder always does':
        ('test_clone_failure', 'test_clone_multilocation_failure'),
}


def without(left_out):
    """Take cases out of a class; those that remain are run.

    :param left_out: beginnings of names
    """
    def decorate(cases):
        for name in dir(cases):
            if name.startswith(left_out):
                setattr(cases, name, None)
        return cases
    return decorate


_NAMES = tuple(name for names in LEFT_OUT.values() for name in names)


@without(_NAMES)
class TaggedRBDTestCase(stock.RBDTestCase):

    @classmethod
    def _make_configuration(cls, conf_in=None):
        cfg = super()._make_configuration()
        for option in options.TAGGED_OPTS:
            setattr(cfg, option.name, option.default)
        cfg.config_group = 'ceph'
        cfg.feature_tags = ['ssd']
        for name, value in (conf_in or {}).items():
            setattr(cfg, name, value)
        return cfg

    @classmethod
    def _make_drv(cls, conf_in):
        return cls._tagged(cls._make_configuration(conf_in),
                           rbd=mock.MagicMock())

    @staticmethod
    def _tagged(configuration, **kwargs):
        made = driver.TaggedRBDDriver(
            execute=mock.Mock(return_value=('', '')),
            configuration=configuration, **kwargs)
        access = mock.Mock(spec=cluster.ClusterAccess)
        access.fsid.return_value = 'fsid'
        access.connect.return_value = mock.Mock(), mock.Mock()
        access.begin.return_value = probe.Sample(
            probe.State.UP, time.monotonic(), fsid='fsid')
        made._access = access
        made.set_initialized()
        return made

    def setUp(self):
        super().setUp()
        self.driver = self._tagged(self.cfg)

    def test_every_exclusion_is_of_a_case(self):
        cases = [*vars(stock.RBDTestCase), *vars(stock.ManagedRBDTestCase)]
        for name in _NAMES:
            self.assertTrue(any(case.startswith(name) for case in cases),
                            name)


@without(_NAMES)
class ManagedTaggedRBDTestCase(stock.ManagedRBDTestCase):
    driver_name = f'{driver.__name__}.{driver.TaggedRBDDriver.__name__}'
