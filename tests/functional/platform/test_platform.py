# SPDX-License-Identifier: Apache-2.0
"""The platform follows its role through faults (M1-M6).

What the container wrote to its volume, and acknowledged, is judged; never
the word of an agent or a keeper.
"""

import os
import signal

from oslotest import base

from tests.functional.ha import lab as labs
from tests.functional.platform import lab as platform

RUNS = 10 if os.environ.get('CINDER_TAGGED_FULL') else 1


class PlatformTest(base.BaseTestCase):

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.lab = platform.PlatformLab()
        cls.lab.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.lab.close()
        super().tearDownClass()

    def setUp(self):
        super().setUp()
        self.holder = self.lab.steady()

    def other(self):
        return next(n for n in self.lab.lab.nodes if n is not self.holder)

    def gone(self, node):
        """Wait until nothing of the platform is on a server."""
        labs.wait_for(
            lambda: self.lab.status(node).get('row') == 'standing by'
            and '/data ' not in node.space.run('cat', '/proc/self/mounts'),
            f'{node.name} lets go of the platform')

    def moves(self, fault, repair):
        """After the fault another server goes on, and all is well."""
        for _ in range(RUNS):
            before, begin = self.lab.steady(), self.lab.uptime()
            self.holder = before
            try:
                fault(before)
                self.lab.working(begin, before.name)
            finally:
                repair(before)
            self.gone(before)
            now = self.lab.steady()
            self.assertIsNot(before, now)
            self.assertEqual([], self.lab.judge(now))

    def test_planned_switch(self):
        def switch(node):
            answer = node.ask(verb='switch', role='control',
                              target=self.other().name, wait=20)
            self.assertTrue(answer['moved'])
        self.moves(switch, lambda node: None)

    def test_master_killed(self):
        self.moves(self.lab.die, lambda node: node.boot())

    def test_master_frozen(self):
        self.moves(self.lab.freeze, self.lab.thaw)

    def test_master_cut_from_ceph(self):
        self.moves(
            lambda node: self.lab.lab.switch.cut([node.name], ['ceph']),
            lambda node: self.lab.lab.switch.heal())

    def test_master_cut_from_its_peers(self):
        self.moves(
            lambda node: self.lab.lab.switch.cut(
                [node.name], [n.name for n in self.lab.lab.nodes
                              if n is not node]),
            lambda node: self.lab.lab.switch.heal())

    def test_storage_gone_for_all(self):
        for _ in range(RUNS):
            self.lab.ceph.osd.kill()
            labs.wait_for(lambda: all(
                self.lab.status(n).get('row') == 'waiting for storage'
                for n in self.lab.lab.nodes), 'all have stopped it')
            with platform.network_of(self.lab.space):
                self.lab.ceph.osd.start()
            self.assertEqual([], self.lab.judge(self.lab.steady()))

    def test_agent_and_keeper_killed_on_a_live_server(self):
        def kill(node):
            node.signal(signal.SIGKILL)
        self.moves(kill, lambda node: node.start_agent())

    def test_container_that_ends_is_started_again(self):
        begin = self.lab.uptime()
        self.holder.space.run(
            'podman', '--runtime', 'runc', '--events-backend', 'none', 'kill',
            'cinder-tagged-app')
        labs.wait_for(
            lambda: self.lab.status(self.holder).get('failures') == 1,
            'the failure is counted')
        labs.wait_for(lambda: self.lab.runs_on(begin + 1), 'it runs again')
        self.assertEqual([], self.lab.judge(self.lab.steady()))

    def test_missing_image_is_told_and_mended_by_install(self):
        target = self.other()
        target.space.run('podman', '--runtime', 'runc', '--events-backend',
                         'none', 'rmi', platform.IMAGE)
        self.holder.ask(verb='switch', role='control', target=target.name,
                        wait=20)
        labs.wait_for(
            lambda: self.lab.status(target).get('row') == 'no image',
            'the missing image is told')
        done = self.lab.command(target, 'install',
                                str(self.lab.files / 'image.tar'))
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertEqual([], self.lab.judge(self.lab.steady()))
        done = self.lab.command(target, 'check')
        self.assertEqual(0, done.returncode, done.stderr)

    def test_full_volume_is_told(self):
        path = f'/mnt/{self.holder.name}/data/filler'
        self.holder.space.run('dd', 'if=/dev/zero', f'of={path}', 'bs=1M',
                              check=False)
        self.addCleanup(self.holder.space.run, 'rm', '-f', path)
        labs.wait_for(
            lambda: 'full' in self.lab.status(self.holder).get(
                'problem', ''), 'the full volume is told')
        self.holder.space.run('rm', path)
        self.assertEqual([], self.lab.judge(self.lab.steady()))
