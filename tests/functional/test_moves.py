# SPDX-License-Identifier: Apache-2.0
"""``cinder-tagged drain``, ``rebalance`` and ``moves`` on a real cloud."""

import json
from pathlib import Path
import signal
import subprocess

import fixtures
from oslotest import base as oslo_base
import rbd

from devstack.sandbox.process import wait_until
from tests.functional import base

A, B, HDD = 'ceph-ssd-a', 'ceph-ssd-b', 'ceph-hdd'
DEADLINE_S = 300
PAUSED = 3


class MovesTest(oslo_base.BaseTestCase):
    """On a sandbox of its own: each plan sees the whole cloud."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.sandbox = base.new_sandbox()
        cls.addClassCleanup(cls.sandbox.stop)
        cls.cinder = cls.sandbox.connect().block_storage

    def setUp(self):
        super().setUp()
        self.directory = Path(self.useFixture(fixtures.TempDir()).path)
        self.addCleanup(self.remove_all)

    def remove_all(self):
        for snapshot in self.cinder.snapshots():
            self.cinder.delete_snapshot(snapshot)
        wait_until(lambda: not list(self.cinder.snapshots()), DEADLINE_S,
                   'snapshots gone')
        for volume in self.cinder.volumes():
            self.cinder.reset_volume_status(volume, 'available', 'detached',
                                            'none')
            self.cinder.delete_volume(volume)
        wait_until(lambda: not list(self.cinder.volumes()), DEADLINE_S,
                   'volumes gone')

    def create(self, count, kind, hint=None):
        """Create volumes and wait for them; returns their ids."""
        made = [self.cinder.create_volume(
            size=1, volume_type=kind, name=f'{kind}-{number}',
            **({'scheduler_hints': {'feature': hint}} if hint else {})).id
            for number in range(count)]
        for volume in made:
            self.wait_for(volume)
        return made

    def wait_for(self, volume):
        wait_until(lambda: self.cinder.get_volume(volume).status
                   == 'available', DEADLINE_S, f'{volume} available')

    def command(self, *words):
        return ([self.sandbox.layout.program('cinder-tagged'), *words],
                {'env': self.sandbox.environment(), 'cwd': self.directory,
                 'text': True, 'stdout': subprocess.PIPE,
                 'stderr': subprocess.STDOUT})

    def run_it(self, *words, status=0):
        command, options = self.command(*words)
        done = subprocess.run(command, timeout=DEADLINE_S, check=False,
                              **options)
        self.assertEqual(status, done.returncode, done.stdout)
        return done.stdout

    def plan(self, name):
        return json.loads((self.directory / name).read_text())

    def states(self, name):
        return {m['volume']: m['state'] for m in self.plan(name)['moves']}

    def where(self, *volumes):
        """Return the clusters whose pools really hold the volumes."""
        images = self.sandbox.images()
        return [[name for name in images
                 if f'volume-{volume}' in images[name]]
                for volume in volumes]

    def write(self, cluster, volume, data):
        with self.sandbox.clusters[cluster].ioctx('volumes') as ioctx, (
                rbd.Image(ioctx, f'volume-{volume}')) as image:
            image.write(data, 0)

    def read(self, cluster, volume, size):
        with self.sandbox.clusters[cluster].ioctx('volumes') as ioctx, (
                rbd.Image(ioctx, f'volume-{volume}', read_only=True)) as image:
            return image.read(0, size)

    # -- tests ----------------------------------------------------------------

    def test_drain_moves_what_can_go_and_says_why_the_rest_stays(self):
        moving = self.create(2, 'ssd', 'db')
        (bound,) = self.create(1, 'db')
        (attached,) = self.create(1, 'ssd', 'db')
        (kept,) = self.create(1, 'ssd', 'db')
        self.cinder.create_snapshot(volume_id=kept)
        self.cinder.attach_volume(attached, '/dev/vdb', host_name='far')
        wait_until(lambda: self.cinder.get_volume(attached).status
                   == 'in-use', DEADLINE_S, 'volume attached')
        self.write(A, moving[0], b'payload')
        said = self.run_it('drain', A)
        self.assertIn('2 volumes to move, 2 GiB', said)
        self.assertIn('3 volumes left where they are', said)
        self.assertIn('it is attached', said)
        self.assertIn('1 snapshot, which cannot go along', said)
        self.assertIn('no other cluster takes it: ', said)
        self.assertIn('Nothing has been changed', said)
        everything = [*moving, bound, attached, kept]
        self.assertEqual([[A]] * 5, self.where(*everything))
        said = self.run_it('moves', 'run', f'drain-{A}.json', status=1)
        self.assertIn('2 of 2 moved', said)
        self.assertEqual([[B]] * 2 + [[A]] * 3, self.where(*everything))
        self.assertEqual(b'payload', self.read(B, moving[0], 7))
        self.assertEqual({'moved'}, set(
            self.states(f'drain-{A}.json').values()))
        found = self.cinder.get_volume(moving[0])
        self.assertEqual('available', found.status)
        self.assertIn(f'@{B}#', found.host)

    def test_name_that_is_no_backend(self):
        said = self.run_it('drain', 'ceph-sdd-a', status=1)
        self.assertEqual(1, len(said.splitlines()), said)
        self.assertIn('no backend has this name; name one of ', said)
        self.assertIn(f'@{A}', said)

    def test_paused_killed_and_gone_on_with(self):
        volumes = self.create(6, 'ssd', 'db')
        command, options = self.command(
            'drain', A, '--run', '--at-once', '1', '--file', 'plan')
        with subprocess.Popen(command, **options) as process:
            self.wait_for_state('moved', 1)
            process.send_signal(signal.SIGTERM)
            said = process.communicate(timeout=DEADLINE_S)[0]
        self.assertEqual(PAUSED, process.returncode, said)
        states = list(self.states('plan').values())
        self.assertGreaterEqual(states.count('planned'), 3)
        self.assertEqual(0, states.count('moving'))
        self.assertIn('begun and is not finished', self.run_it(
            'drain', A, '--file', 'plan', status=1))
        command, options = self.command('moves', 'run', 'plan')
        with subprocess.Popen(command, **options) as process:
            self.wait_for_state('moving', 1)
            process.kill()
        self.run_it('moves', 'run', 'plan')
        self.assertEqual([[B]] * 6, self.where(*volumes))
        self.assertIn('6 of 6 moved', self.run_it('moves', 'show', 'plan'))

    def wait_for_state(self, state, count):
        wait_until(
            lambda: (self.directory / 'plan').exists()
            and list(self.states('plan').values()).count(state) >= count,
            DEADLINE_S, f'{count} {state}', interval=0.05)

    def test_pause_from_elsewhere_and_a_volume_deleted_meanwhile(self):
        volumes = self.create(3, 'ssd', 'db')
        self.run_it('drain', A, '--file', 'plan')
        self.run_it('moves', 'pause', 'plan')
        self.cinder.delete_volume(volumes[0])
        wait_until(lambda: self.cinder.find_volume(volumes[0]) is None,
                   DEADLINE_S, 'volume deleted')
        self.run_it('moves', 'run', 'plan')
        self.assertEqual(
            ['gone', 'moved', 'moved'],
            [self.states('plan')[volume] for volume in volumes])

    def test_rebalance_shares_by_weight(self):
        volumes = self.create(8, 'ssd', '!db')
        self.assertEqual([[B]] * 8, self.where(*volumes))
        said = self.run_it('rebalance', '--within', 'ssd', '--run')
        self.assertIn('6 of 6 moved', said)
        self.assertEqual(6, self.where(*volumes).count([A]))
        self.assertIn('0 volumes to move', self.run_it('rebalance'))
