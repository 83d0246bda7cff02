# SPDX-License-Identifier: Apache-2.0

import pathlib

from cinder.volume import configuration
from cinder.volume.drivers import rbd
import ddt
import fixtures
from oslo_config import cfg
from oslotest import base

from cinder_tagged import exceptions
from cinder_tagged.ceph import connection
from cinder_tagged.volume import cluster
from cinder_tagged.volume import options
from cinder_tagged.volume import stanza

TAGGED = 'cinder_tagged.volume.driver.TaggedRBDDriver'
FSIDS = ['2d1fcb4e-9b0e-4b3c-8f0e-7e8a5e2d0001',
         '2d1fcb4e-9b0e-4b3c-8f0e-7e8a5e2d0002']


class StanzaCase(base.BaseTestCase):
    """Tests on a cinder.conf and on ceph.confs, all of them files."""

    def setUp(self):
        super().setUp()
        self.directory = pathlib.Path(
            self.useFixture(fixtures.TempDir()).path)
        self.addCleanup(cfg.CONF.reset)
        for number, fsid in enumerate(FSIDS):
            (self.directory / f'{number}.conf').write_text(
                f'[global]\nfsid = {fsid}\n')

    def write(self, **stanzas):
        lines = ['[DEFAULT]', f'enabled_backends = {",".join(stanzas)}']
        for name, values in stanzas.items():
            lines.append(f'[{name}]')
            lines += [f'{key} = {value}' for key, value in {
                'volume_driver': TAGGED, **values}.items()]
        path = self.directory / 'cinder.conf'
        path.write_text('\n'.join(lines))
        cfg.CONF([], project='cinder', default_config_files=[str(path)],
                 default_config_dirs=[])

    def stanza(self, name):
        return configuration.Configuration(
            [*rbd.RBD_OPTS, *options.TAGGED_OPTS], config_group=name)

    def ceph_conf(self, number):
        return str(self.directory / f'{number}.conf')

    def check(self, name, fsid):
        own = self.stanza(name)
        stanza.check_against_others(stanza.read(own, fsid), own, TAGGED)


@ddt.ddt
class ReadTest(StanzaCase):

    def test_read(self):
        self.write(fast={'feature_tags': 'medium:ssd, public, db',
                         'feature_weight': '2.5', 'rbd_pool': 'volumes',
                         'rbd_cluster_name': 'east'})
        feature = stanza.read(self.stanza('fast'), FSIDS[0])
        self.assertEqual('fast', feature.backend)
        self.assertEqual(['medium:ssd', 'public', 'db'],
                         [str(tag) for tag in feature.tags])
        self.assertEqual(2.5, feature.weight)
        self.assertEqual((FSIDS[0], 'east', 'volumes'),
                         (feature.cluster.fsid, feature.cluster.name,
                          feature.cluster.pool))

    def test_weight_of_one_by_default(self):
        self.write(fast={'feature_tags': 'ssd'})
        self.assertEqual(1.0, stanza.read(self.stanza('fast'), '').weight)

    @ddt.data(({}, 'feature_tags'),
              ({'feature_tags': ''}, 'feature_tags'),
              ({'feature_tags': 'ssd, SSD!'}, 'feature_tags'),
              ({'feature_tags': 'medium:ssd, type:ssd'}, 'feature_tags'),
              ({'feature_tags': 'ssd', 'feature_weight': '-1'},
               'feature_weight'),
              ({'feature_tags': 'ssd', 'feature_weight': 'nan'},
               'feature_weight'))
    @ddt.unpack
    def test_read_fails(self, values, option):
        self.write(fast=values)
        error = self.assertRaises(exceptions.FeatureConfigError, stanza.read,
                                  self.stanza('fast'), '')
        self.assertEqual((option, '[fast]'), (error.option, error.where))


class CheckAgainstOthersTest(StanzaCase):

    def test_same_pool_of_the_same_cluster(self):
        # Two files that differ, one cluster behind both.
        (self.directory / 'copy.conf').write_text(
            f'[global]\nfsid = {FSIDS[0]}\nmon_host = 10.0.0.1\n')
        self.write(one={'feature_tags': 'ssd', 'rbd_pool': 'volumes',
                        'rbd_ceph_conf': self.ceph_conf(0)},
                   two={'feature_tags': 'hdd', 'rbd_pool': 'volumes',
                        'rbd_ceph_conf': self.ceph_conf('copy')})
        self.check('one', FSIDS[0])
        error = self.assertRaises(exceptions.FeatureConfigError, self.check,
                                  'two', FSIDS[0])
        for word in ('one', 'two', 'volumes', FSIDS[0]):
            self.assertIn(word, str(error))
        self.assertEqual('rbd_pool', error.option)

    def test_same_file_that_names_no_fsid(self):
        (self.directory / 'bare.conf').write_text('[global]\n')
        values = {'feature_tags': 'ssd', 'rbd_pool': 'volumes',
                  'rbd_ceph_conf': self.ceph_conf('bare')}
        self.write(one=values, two=values)
        self.assertRaises(exceptions.FeatureConfigError, self.check,
                          'two', FSIDS[0])

    def test_two_pools_of_a_cluster(self):
        self.write(one={'feature_tags': 'ssd', 'rbd_pool': 'a',
                        'rbd_ceph_conf': self.ceph_conf(0)},
                   two={'feature_tags': 'ssd', 'rbd_pool': 'b',
                        'rbd_ceph_conf': self.ceph_conf(0)})
        self.check('two', FSIDS[0])

    def test_same_pool_name_of_two_clusters(self):
        self.write(one={'feature_tags': 'ssd',
                        'rbd_ceph_conf': self.ceph_conf(0)},
                   two={'feature_tags': 'ssd',
                        'rbd_ceph_conf': self.ceph_conf(1)})
        self.check('two', FSIDS[1])

    def test_one_word_of_two_kinds(self):
        self.write(one={'feature_tags': 'medium:fast',
                        'rbd_ceph_conf': self.ceph_conf(0)},
                   two={'feature_tags': 'purpose:fast',
                        'rbd_ceph_conf': self.ceph_conf(1)})
        error = self.assertRaises(exceptions.FeatureConfigError, self.check,
                                  'two', FSIDS[1])
        self.assertEqual('feature_tags', error.option)

    def test_stanzas_that_cannot_be_read_do_not_count(self):
        self.write(bad={'feature_tags': '?'},
                   gone={'feature_tags': 'ssd',
                         'rbd_ceph_conf': self.ceph_conf('nowhere')},
                   two={'feature_tags': 'ssd',
                        'rbd_ceph_conf': self.ceph_conf(0)})
        self.check('two', FSIDS[0])

    def test_other_drivers_do_not_count(self):
        self.write(one={'feature_tags': 'ssd', 'volume_driver':
                        'cinder.volume.drivers.rbd.RBDDriver',
                        'rbd_ceph_conf': self.ceph_conf(0)},
                   two={'feature_tags': 'ssd',
                        'rbd_ceph_conf': self.ceph_conf(0)})
        self.check('two', FSIDS[0])


@ddt.ddt
class TimeoutsTest(StanzaCase):

    @ddt.data(({}, None, (10, 10, 30)),
              ({}, 4, (4, 4, 4)),
              ({}, -1, (10, 10, 30)),
              ({}, 0, (10, 10, 30)),
              ({'rados_connect_timeout': 7}, None, (7, 7, 7)),
              ({'rados_connect_timeout': 0}, None, (10, 10, 30)),
              ({'rados_connect_timeout': 7, 'rados_osd_timeout': 60}, None,
               (7, 7, 60)),
              ({'rados_mount_timeout': 2, 'rados_mon_timeout': 3}, None,
               (2, 3, 30)))
    @ddt.unpack
    def test_timeouts(self, values, limit, expected):
        self.write(fast={'feature_tags': 'ssd', **values})
        self.assertEqual(connection.Timeouts(*expected),
                         cluster.timeouts(self.stanza('fast'), limit))

    def test_no_limit_cannot_be_asked_for(self):
        self.write(fast={'feature_tags': 'ssd', 'rados_osd_timeout': 0})
        self.assertRaises(cfg.ConfigFileValueError, cluster.timeouts,
                          self.stanza('fast'), None)
