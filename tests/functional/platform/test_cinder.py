# SPDX-License-Identifier: Apache-2.0
"""A platform on a volume that Cinder allots by a feature tag."""

import contextlib
import json
from pathlib import Path
import subprocess
import sys
import time

import fixtures
import rados
import rbd

from tests.functional import base
from tests.functional.ha import lab as labs
from tests.functional.ha import spaces
from tests.functional.platform import lab as platform

CONF = '''
[ha]
node = n1
roles = control
[ha_role_control]
resources = app
[ha_resource_app]
type = platform
[ha_platform_app]''' + platform.STAMPS + '''\
mountpoint = /mnt/data
state_dir = /mnt/state
'''
#: A tag that one cluster of the sandbox has.
TAG, CLUSTER, OTHER = 'hdd', 'ceph-hdd', 'ceph-ssd-a'


class CinderVolumeTest(base.SandboxTestCase):
    """One server: files of its own, the network of the sandbox."""

    def setUp(self):
        super().setUp()
        self.server = spaces.Space('n1')
        self.addCleanup(self.server.close)
        self.files = Path(self.useFixture(fixtures.TempDir()).path)
        (self.files / 'acks').mkdir()
        self.conf = self.server.files / 'ha.conf'
        (self.server.files / 'state').mkdir()
        platform.own_containers(self.run_inside)
        self.digest = platform.make_image(
            self.files, platform.WRITER, self.run_inside)
        self.configure(CLUSTER)
        self.addCleanup(self.remove)

    def inside(self, *command):
        return ['nsenter', f'--mount=/proc/{self.server.pid}/ns/mnt', '--',
                *command]

    def run_inside(self, *command):
        return subprocess.run(
            self.inside(*command), check=True, capture_output=True,
            text=True, timeout=120).stdout

    def words(self, *words):
        return self.inside(
            sys.executable, '-W', 'ignore', '-m',
            'cinder_tagged.ha.platform.cli', '--config-file', '/mnt/ha.conf',
            *words)

    def command(self, *words):
        return subprocess.run(
            self.words(*words), capture_output=True, text=True, timeout=300,
            env=self.environment(), check=False)

    def environment(self):
        return {**self.sandbox.environment('sandbox'),
                'PYTHONPATH': labs.environment()['PYTHONPATH']}

    def configure(self, cluster):
        self.conf.write_text(CONF.format(
            digest=self.digest, acks=self.files / 'acks',
            conf=self.clusters[cluster].conf))

    def marked(self):
        return [v for v in self.cinder.volumes(details=True)
                if v.metadata.get('cinder_tagged_platform') == 'app']

    def remove(self):
        for volume in self.marked():
            for attachment in self.cinder.attachments(volume_id=volume.id):
                self.cinder.delete_attachment(attachment.id)
            self.wait_until(
                lambda v=volume: self.cinder.get_volume(v.id).status
                == 'available', 'the volume is free')
            self.delete_volume(volume.id)
        for cluster in self.clusters.values():
            with cluster.ioctx('volumes') as ioctx:
                for name in ('', '.n1', '.check-n1'):
                    with contextlib.suppress(rados.ObjectNotFound):
                        ioctx.remove_object(
                            f'cinder-tagged-platform.app{name}')

    def allot(self):
        return self.command('volume', '--size', '1', '--type', TAG)

    def row(self):
        with contextlib.suppress(OSError, ValueError):
            return json.loads((self.server.files / 'state/app/status.json'
                               ).read_text())['row']
        return ''

    def test_tag_leads_to_the_volume_and_the_platform_runs_on_it(self):
        self.configure(OTHER)
        done = self.allot()
        self.assertEqual(1, done.returncode, done.stdout)
        self.assertIn('is not in the cluster of', done.stderr)
        self.assertIn('ceph_conf', done.stderr)

        self.configure(CLUSTER)
        done = self.allot()
        self.assertEqual(0, done.returncode, done.stderr)
        [volume] = self.marked()
        self.assertEqual(f'volume volumes/volume-{volume.id}\n', done.stdout)
        self.assertEqual('in-use', volume.status)
        self.assertEqual([CLUSTER], self.clusters_with(volume.id))
        again = self.allot()
        self.assertEqual((0, done.stdout), (again.returncode, again.stdout),
                         again.stderr)
        self.assertEqual(1, len(self.marked()))

        for words in (('install', str(self.files / 'image.tar')),
                      ('check',)):
            done = self.command(*words)
            self.assertEqual(0, done.returncode, done.stderr)
        self.keep()
        found = []
        with self.clusters[CLUSTER].ioctx('volumes') as ioctx, rbd.Image(
                ioctx, f'volume-{volume.id}', read_only=True) as image:
            image.diff_iterate(0, image.size(), None,
                               lambda *extent: found.append(extent))
        self.assertNotEqual([], found)

    def keep(self):
        """Be its agent until the container has acknowledged a stamp.

        The keeper ends all in order when its input does, also if we die.
        """
        with open(self.server.files / 'keeper.log', 'ab') as log:
            keeper = subprocess.Popen(
                self.words('keep'), stdin=subprocess.PIPE, text=True,
                stdout=subprocess.DEVNULL, stderr=log,
                env=self.environment())
        try:
            keeper.stdin.write(json.dumps({
                'master': True, 'epoch': 1,
                'until': time.monotonic() + 600}) + '\n')
            keeper.stdin.flush()
            self.wait_until(
                lambda: self.row() == 'running'
                and (self.files / 'acks/acked').exists(),
                'the platform runs')
        finally:
            keeper.stdin.close()
            try:
                status = keeper.wait(120)
            finally:
                keeper.kill()
                for path in ('/mnt/data', '/mnt/state/app/fuse'):
                    subprocess.run(self.inside('umount', '-l', path),
                                   capture_output=True, check=False)
        self.assertEqual(0, status)
