# SPDX-License-Identifier: Apache-2.0
"""``cinder-tagged check`` on the configuration of a cloud that runs."""

import json
import os
from pathlib import Path
import secrets
import shutil
import subprocess
import sys
import tempfile

import fixtures
from oslotest import base

from devstack.sandbox.ceph import start_all
from devstack.sandbox.layout import Layout
from devstack.sandbox.sandbox import Sandbox
from devstack.sandbox.settings import BACKENDS
from devstack.sandbox.settings import Settings


class CheckTest(base.BaseTestCase):
    """The sandbox's own files are in order; spoiled copies are not.

    Of the sandbox only its files are written and its clusters started.
    """

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        state = Path(tempfile.gettempdir(), f'check-{secrets.token_hex(4)}')
        layout = Layout.create(Settings(
            state, parts=frozenset({'compute'}), backends=BACKENDS[1:]))
        cls.sandbox = Sandbox(layout)
        cls.addClassCleanup(cls.sandbox.stop)
        layout.guard.watch()
        for part in cls.sandbox.parts:
            part.configure()
        cls.clusters = cls.sandbox.clusters
        start_all(cls.clusters.values())

    def setUp(self):
        super().setUp()
        self.directory = Path(self.useFixture(fixtures.TempDir()).path)
        state = self.sandbox.layout.state
        for name in ('cinder', 'nova', 'glance'):
            shutil.copytree(state / name, self.directory / name,
                            ignore=lambda _, names: [
                                n for n in names
                                if not n.endswith(('.conf', '.ini'))])
        self.cinder = self.directory / 'cinder' / 'cinder.conf'

    def check(self, *arguments):
        """Run the command over the copies; returns status and answer."""
        done = subprocess.run(
            [self.sandbox.layout.program('cinder-tagged'), 'check',
             '--cinder-conf', self.cinder,
             '--nova-conf', self.directory / 'nova' / 'nova.conf',
             '--glance-conf', self.directory / 'glance' / 'glance-api.conf',
             '--format', 'json', *arguments],
            env=os.environ, capture_output=True, text=True, timeout=120,
            check=False)
        self.assertIn(done.returncode, (0, 1), done.stderr)
        for secret in self.sandbox.layout.passwords.values():
            self.assertNotIn(secret, done.stdout + done.stderr)
        return done.returncode, json.loads(done.stdout)

    def edit(self, old, new):
        text = self.cinder.read_text()
        self.assertIn(old, text)
        self.cinder.write_text(text.replace(old, new))

    def rules(self, answer, severity):
        return {f['rule'] for f in answer['findings']
                if f['severity'] == severity}

    def test_in_order_and_reachable(self):
        before = self.sandbox.images()
        status, answer = self.check('--connect')
        self.assertEqual((0, 0, 0), (
            status, answer['counts']['error'], answer['counts']['warning']),
            answer)
        self.assertEqual(before, self.sandbox.images())

    def test_error(self):
        self.edit('medium:hdd', 'HDD')
        status, answer = self.check()
        self.assertEqual(1, status)
        self.assertEqual({'feature'}, self.rules(answer, 'error'))

    def test_warning(self):
        self.edit('scheduler_default_weighers = FeatureWeigher',
                  'scheduler_default_weighers = CapacityWeigher')
        status, answer = self.check()
        self.assertEqual((0, {'weigher'}),
                         (status, self.rules(answer, 'warning')))
        status, _answer = self.check('--fail-on', 'warning')
        self.assertEqual(1, status)

    def test_note(self):
        shutil.copy(Path(sys.prefix, 'etc', 'nova', 'api-paste.ini'),
                    self.directory / 'nova' / 'api-paste.ini')
        conf = self.directory / 'nova' / 'nova.conf'
        conf.write_text(conf.read_text().replace(
            str(self.sandbox.layout.state / 'nova' / 'api-paste.ini'),
            'api-paste.ini'))
        status, answer = self.check()
        self.assertEqual((0, {'nova-paste'}),
                         (status, self.rules(answer, 'info')))

    def test_user_who_may_not_write(self):
        self.edit('rbd_user = cinder', 'rbd_user = glance')
        _status, answer = self.check('--connect')
        self.assertIn('cluster-list', self.rules(answer, 'error'))
        told = next(f for f in answer['findings']
                    if f['rule'] == 'cluster-list')
        self.assertIn('ceph auth caps client.glance', told['remedy'])

    def test_cluster_that_does_not_answer(self):
        cluster = next(iter(self.clusters.values()))
        cluster.pause('mon')
        self.addCleanup(cluster.resume, 'mon')
        status, answer = self.check('--connect', '--deadline', '3')
        self.assertEqual((1, {'cluster-connect'}),
                         (status, self.rules(answer, 'error')))

    def test_hosts_that_differ(self):
        other = self.directory / 'collected' / 'node-2'
        other.mkdir(parents=True)
        shutil.copy(self.cinder, other)
        self.edit('test\nfeature_weight = 1', 'test\nfeature_weight = 2')
        status, answer = self.check('--collected', str(other.parent))
        self.assertEqual((1, {'hosts-differ'}),
                         (status, self.rules(answer, 'error')))
        self.assertIn('node-2', answer['findings'][0]['what'])
