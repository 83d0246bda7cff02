# SPDX-License-Identifier: Apache-2.0
"""Clusters that a service knows, from real files."""

import pathlib
import types

from cinder.volume import configuration
from cinder.volume.drivers import rbd as cinder_rbd
import fixtures
from oslo_config import cfg
from oslotest import base

from cinder_tagged.ceph.connection import Timeouts
from cinder_tagged.volume import sources

LIMITS = Timeouts(1, 1, 1)


class KnownClustersTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.directory = pathlib.Path(
            self.useFixture(fixtures.TempDir()).path)
        self.addCleanup(cfg.CONF.reset)
        for name in 'abc':
            (self.directory / f'{name}.conf').write_text(
                f'[global]\nfsid = {self.fsid(name)}\n'
                'mon_host = 127.0.0.1:1\n')

    def fsid(self, name):
        return f'{name}0000000-0000-4000-8000-000000000000'

    def known(self, *copy_sources):
        lines = ['[DEFAULT]', 'enabled_backends = a,b,lvm']
        for name in 'ab':
            lines += [f'[{name}]', 'rbd_user = cinder',
                      f'rbd_ceph_conf = {self.directory}/{name}.conf']
        lines += ['[lvm]', 'volume_group = vg']
        conf = self.directory / 'cinder.conf'
        conf.write_text('\n'.join(lines) + '\n')
        for name in ('a', 'b'):
            configuration.Configuration(cinder_rbd.RBD_OPTS,
                                        config_group=name)
        cfg.CONF([], project='cinder', default_config_files=[str(conf)],
                 default_config_dirs=[])
        cfg.CONF.import_opt('enabled_backends', 'cinder.common.config')
        return sources.KnownClusters(
            types.SimpleNamespace(copy_sources=list(copy_sources)), LIMITS)

    def test_backends_of_the_file(self):
        known = self.known()
        for name in 'ab':
            identity = known.find(self.fsid(name))
            self.assertEqual(f'{self.directory}/{name}.conf', identity.conf)
            self.assertEqual('cinder', identity.user)
            self.assertEqual(LIMITS, identity.timeouts)
        self.assertIsNone(known.find(self.fsid('c')))

    def test_further_sources(self):
        known = self.known(f'{self.directory}/c.conf:reader')
        self.assertEqual('reader', known.find(self.fsid('c')).user)

    def test_a_source_that_cannot_be_read_hides_no_other(self):
        known = self.known('/nowhere/x.conf', f'{self.directory}/c.conf')
        self.assertIsNone(known.find(self.fsid('c')).user)
