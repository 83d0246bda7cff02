# SPDX-License-Identifier: Apache-2.0
"""The platform on krbd and on rbd-nbd, whole machines that stand still.

Each test has real keepers, Ceph, podman and the kernel's own client. Only
the election is left out: the test says who is master. No test looks at how
long something took.
"""

import os
from pathlib import Path

import fixtures
from oslotest import base
from testtools.content import text_content

from tests.lab.platform import lab as labs

# Each test is given a HOME of its own; the built image is in the real one.
CACHE = os.environ.get('XDG_CACHE_HOME') or str(Path.home() / '.cache')


class Scenarios:
    """What holds for each way of mapping."""

    mapper = ''

    def setUp(self):
        super().setUp()
        self.useFixture(fixtures.EnvironmentVariable('XDG_CACHE_HOME', CACHE))
        self.lab = labs.PlatformMachines(self.mapper)
        self.addCleanup(self.lab.close)
        self.lab.open()
        self.one, self.two = self.lab.nodes
        self.addOnException(self._tell)

    def _tell(self, _error):
        for node in self.lab.nodes:
            # A paused one does not answer.
            node.resume()
            self.addDetail(f'status-{node.number}',
                           text_content(str(self.lab.status(node))))
            self.addDetail(f'console-{node.number}',
                           text_content(node.console_text()[-8000:]))

    def brought_up(self, node, epoch):
        """Make it master, and wait for acknowledged stamps."""
        self.lab.role(node, 'master', str(epoch))
        self.lab.row(node, 'running')
        self.lab.works(node)

    def clean(self, node):
        """Nothing of the platform is in a machine."""
        mounts = node.run('cat', '/proc/self/mounts').out
        self.assertEqual((False, []), (
            labs.DIRECTORY in mounts, self.lab.mapped(node)))
        containers = node.sh(f'{" ".join(labs.PODMAN)} ps -aq',
                             deadline=200).out
        self.assertEqual('', containers)

    def test_switch_leaves_nothing_and_maps_again(self):
        self.brought_up(self.one, 1)
        self.known()
        self.lab.role(self.one, 'slave')
        self.lab.row(self.one, 'standing by')
        self.clean(self.one)
        self.brought_up(self.two, 2)
        self.lab.role(self.two, 'slave')
        self.lab.row(self.two, 'standing by')
        self.brought_up(self.one, 3)
        self.assertEqual([], self.lab.judge(self.one))

    def known(self):
        """The record names the client that the cluster sees."""
        self.assertEqual(self.lab.watchers(), set(self.lab.record().clients))

    def test_machine_that_stood_still_is_refused(self):
        self.brought_up(self.one, 1)
        self.one.pause()
        before = self.lab.record().clients
        self.brought_up(self.two, 2)
        self.assertLessEqual(set(before), self.lab.fenced())
        self.one.resume()
        # It still takes itself for master; only the fence stops its writes.
        self.lab.row(self.one, 'not the newest')
        self.assertTrue(self.lab.lines(self.one, '/acks/refused'))
        self.lab.works(self.two)
        self.lab.role(self.one, 'slave')
        self.lab.row(self.one, 'standing by')
        self.clean(self.one)
        self.assertEqual([], self.lab.judge(self.two))

    def test_machine_cut_off_from_ceph_lets_go(self):
        self.brought_up(self.one, 1)
        self.one.cable(labs.CABLE, False)
        self.lab.row(self.one, 'waiting for storage')
        self.clean(self.one)
        self.brought_up(self.two, 2)
        self.one.cable(labs.CABLE, True)
        self.lab.row(self.one, 'not the newest')
        self.assertEqual([], self.lab.judge(self.two))

    def test_storage_that_hangs_is_let_go_and_comes_back(self):
        self.brought_up(self.one, 1)
        before = self.lab.record().clients
        self.lab.ceph.pause('osd')
        try:
            self.lab.row(self.one, 'waiting for storage')
            self.clean(self.one)
        finally:
            self.lab.thaw_storage()
        self.lab.row(self.one, 'running')
        self.lab.works(self.one)
        # What it had in flight must not land on what it writes now.
        self.assertLessEqual(set(before), self.lab.fenced())
        self.assertEqual([], self.lab.judge(self.one))


class TestKrbd(Scenarios, base.BaseTestCase):
    mapper = 'krbd'

    def test_address_is_the_kernels(self):
        self.brought_up(self.one, 1)
        said = self.one.sh('cat /sys/bus/rbd/devices/0/client_addr').out
        self.assertEqual({said.strip()}, self.lab.watchers())


class TestNbd(Scenarios, base.BaseTestCase):
    mapper = 'nbd'
