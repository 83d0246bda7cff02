# SPDX-License-Identifier: Apache-2.0
"""Whatever way its owner ends, a sandbox leaves nothing behind."""

from pathlib import Path
import shutil
import signal
import subprocess
import sys
import tempfile

from oslotest import base
import rbd

from devstack.sandbox import guard
from devstack.sandbox.ceph import CephCluster
from devstack.sandbox.process import wait_until

_DEADLINE_S = 180
# A process that starts a cluster, tells where it is, and waits.
_OWNER = """
import sys
from devstack.sandbox.ceph import CephCluster
with CephCluster() as cluster:
    print(cluster.guard.token, cluster.directory, flush=True)
    sys.stdin.read()
"""


class LifetimeTestCase(base.BaseTestCase):

    def setUp(self) -> None:
        super().setUp()
        self.owner = subprocess.Popen(
            [sys.executable, '-c', _OWNER], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.owner.wait)
        self.addCleanup(self.owner.kill)
        assert self.owner.stdout is not None
        token, directory = self.owner.stdout.readline().split()
        self.token, self.directory = token, Path(directory)
        self.addCleanup(self.owner.stdout.close)

    def _nothing_left(self) -> bool:
        return (not list(guard.marked(self.token))
                and not self.directory.exists())

    def test_owner_ends(self) -> None:
        self.assertEqual(3, len(list(guard.marked(self.token))))
        self.owner.communicate('')
        self.assertEqual(0, self.owner.returncode)
        self.assertTrue(self._nothing_left())

    def test_owner_is_killed(self) -> None:
        self.assertEqual(3, len(list(guard.marked(self.token))))
        self.owner.send_signal(signal.SIGKILL)
        wait_until(self._nothing_left, _DEADLINE_S, 'all gone')


class ClusterTestCase(base.BaseTestCase):

    def test_crash_and_restart_keep_the_images(self) -> None:
        directory = Path(tempfile.mkdtemp(prefix='cinder-tagged-test-'))
        self.addCleanup(shutil.rmtree, directory)
        with CephCluster(directory / 'ceph', pools=['volumes']) as cluster:
            fsid = cluster.fsid
            with cluster.ioctx('volumes', user='cinder') as ioctx:
                rbd.RBD().create(ioctx, 'kept', 2 ** 22)
            cluster.kill()
            self.assertFalse(cluster.osd.alive)
            cluster.start()
            self.assertEqual(['kept'], cluster.images())
        again = CephCluster(directory / 'ceph', pools=['volumes'])
        self.assertEqual(fsid, again.fsid)
        with again:
            self.assertEqual(['kept'], again.images())

    def test_paused_osd_answers_after_resume(self) -> None:
        with CephCluster() as cluster:
            cluster.pause('osd')
            cluster.resume('osd')
            cluster.wait_healthy(_DEADLINE_S)
            self.assertEqual([], cluster.images())
