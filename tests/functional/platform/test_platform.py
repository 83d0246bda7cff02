# SPDX-License-Identifier: Apache-2.0
"""The platform follows its role through faults (M1-M6).

What the container wrote to its volume, and acknowledged, is judged; never
the word of an agent or a keeper.
"""

import os
import shutil
import signal
import statistics
import subprocess
import sys

from oslotest import base

from tests.functional.ha import lab as labs
from tests.functional.platform import faults
from tests.functional.platform import lab as platform

FULL = bool(os.environ.get('CINDER_TAGGED_FULL'))
RUNS = 10 if FULL else 1
PODMAN = platform.PODMAN


class PlatformTest(base.BaseTestCase):

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.lab = platform.PlatformLab()
        cls.lab.__enter__()
        cls.faults = faults.Faults(cls.lab)

    @classmethod
    def tearDownClass(cls):
        cls.lab.close()
        super().tearDownClass()

    def setUp(self):
        super().setUp()
        self.holder = self.lab.steady()

    def other(self):
        return next(n for n in self.lab.lab.nodes if n is not self.holder)

    def trials(self, name):
        """The fault again and again; every time all is well."""
        seconds = []
        for _ in range(RUNS):
            trial = self.faults.trial(name)
            self.assertEqual([], trial.wrong)
            seconds.append(trial.seconds)
        print(f'platform: {name}: {min(seconds):.2f} / '
              f'{statistics.median(seconds):.2f} / {max(seconds):.2f} s '
              f'({len(seconds)} runs)', file=sys.stderr, flush=True)

    def switch(self, source, target):
        source.ask(verb='switch', role='control', target=target.name,
                   wait=20)

    def install(self, node):
        done = self.lab.command(node, 'install',
                                str(self.lab.files / 'image.tar'))
        self.assertEqual(0, done.returncode, done.stderr)

    def row(self, node, row):
        """Wait until a server is in a row of the decision table."""
        labs.wait_for(lambda: self.lab.status(node).get('row') == row,
                      f'{node.name} says: {row}')

    def test_planned_switch(self):
        self.trials('switch asked for')

    def test_master_killed(self):
        self.trials('server killed')

    def test_master_frozen(self):
        self.trials('server frozen')

    def test_master_cut_from_ceph(self):
        self.trials('cut from Ceph')

    def test_master_cut_from_its_peers(self):
        self.trials('cut from its peers')

    def test_storage_paused_and_resumed(self):
        self.trials('storage paused')

    def test_storage_gone_for_all(self):
        self.lab.ceph.osd.kill()
        self.faults.stopped_everywhere()
        with platform.network_of(self.lab.space):
            self.lab.ceph.osd.start()
        self.assertEqual([], self.lab.judge(self.lab.steady()))

    def test_cold_start_of_everything(self):
        """Power comes back to the servers before the storage is there."""
        nodes, ceph = self.lab.lab.nodes, self.lab.ceph
        for node in nodes:
            self.lab.die(node)
        ceph.kill()
        for node in nodes:
            node.boot()
        self.faults.stopped_everywhere()
        with platform.network_of(self.lab.space):
            ceph.start()
        self.assertEqual([], self.lab.judge(self.lab.steady()))

    def test_agent_and_keeper_killed_on_a_live_server(self):
        before, begin = self.holder, self.lab.uptime()
        before.signal(signal.SIGKILL)
        try:
            self.lab.working(begin, before.name)
        finally:
            before.start_agent()
        self.faults.gone(before)
        now = self.lab.steady()
        self.assertIsNot(before, now)
        self.assertEqual([], self.lab.judge(now))

    def test_agent_that_hangs_on_a_live_server(self):
        """Its keeper stops the container before another starts one."""
        before, begin = self.holder, self.lab.uptime()
        before.signal(signal.SIGSTOP)
        try:
            self.lab.working(begin, before.name)
            self.faults.gone(before)
        finally:
            before.signal(signal.SIGCONT)
        self.assertEqual([], self.lab.judge(self.lab.steady()))

    def test_container_that_ends_is_started_again(self):
        # Those of the test before are forgotten once it has run a while.
        labs.wait_for(
            lambda: self.lab.status(self.holder).get('failures') == 0,
            'no failure is counted')
        begin = self.lab.uptime()
        self.holder.space.run(*PODMAN, 'kill', 'cinder-tagged-app')
        labs.wait_for(
            lambda: self.lab.status(self.holder).get('failures') == 1,
            'the failure is counted')
        labs.wait_for(lambda: self.lab.runs_on(begin + 1), 'it runs again')
        self.assertEqual([], self.lab.judge(self.lab.steady()))

    def test_missing_image_is_told_and_mended_by_install(self):
        target = self.other()
        target.space.run(*PODMAN, 'rmi', platform.IMAGE)
        self.switch(self.holder, target)
        self.row(target, 'no image')
        self.install(target)
        self.assertEqual([], self.lab.judge(self.lab.steady()))
        done = self.lab.command(target, 'check')
        self.assertEqual(0, done.returncode, done.stderr)

    def test_wrong_image_and_a_file_system_without_superblock(self):
        target = self.other()
        target.space.run(
            *PODMAN, 'import', '--change', 'CMD ["/bin/other"]',
            str(self.lab.files / 'rootfs.tar'), platform.IMAGE)
        self.switch(self.holder, target)
        self.row(target, 'wrong image')
        self.faults.gone(self.holder)
        self.lab.spoil()
        self.install(target)
        self.row(target, 'corrupt')
        self.assertNotIn('/data ',
                         target.space.run('cat', '/proc/self/mounts'))
        # What an operator does; then a move of the role has it looked at.
        target.space.run('e2fsck', '-y', self.lab.device(target),
                         check=False)
        self.switch(target, self.holder)
        self.assertEqual([], self.lab.judge(self.lab.steady()))

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

    if FULL:
        def test_mapping_that_fails_is_tried_again(self):
            target, tool = self.other(), shutil.which('rbd-fuse')
            target.space.run('mount', '--bind', '/bin/false', tool)
            try:
                self.switch(self.holder, target)
                labs.wait_for(
                    lambda: 'map: rbd-fuse: exit 1' in self.lab.status(
                        target).get('problem', '')
                    and self.lab.status(target)['failures'] > 1,
                    'the failed mapping is told')
            finally:
                target.space.run('umount', tool)
            self.assertEqual([], self.lab.judge(self.lab.steady()))

        def test_container_that_ends_at_once_is_told(self):
            (self.lab.acks / 'die').touch()
            try:
                self.holder.space.run(*PODMAN, 'kill', 'cinder-tagged-app')
                labs.wait_for(
                    lambda: 'exit 7 told to die' in self.lab.status(
                        self.holder).get('problem', '')
                    and self.lab.status(self.holder)['failures'] > 2,
                    'its last words are told')
            finally:
                (self.lab.acks / 'die').unlink()
            self.assertEqual([], self.lab.judge(self.lab.steady()))


class EtcdAwayTest(base.BaseTestCase):
    """etcd answers nobody for longer than an authority lasts."""

    def test_platform_outlives_a_moment(self):
        # A busy machine makes the moment longer than it should be.
        lab = platform.PlatformLab(changes='agent_deadline = 20\n')
        self.addCleanup(lab.close)
        lab.__enter__()
        holder = lab.steady()
        known = holder.space.files / holder.name / 'app/container.json'
        before, begin = known.read_text(), lab.uptime()
        for number in (signal.SIGSTOP, signal.SIGCONT):
            for node in lab.lab.nodes:
                node.etcd.send_signal(number)
            if number == signal.SIGSTOP:
                labs.wait_for(lambda: not holder.gate_open(),
                              'the address is let go')
        self.assertIs(holder, lab.steady())
        self.assertEqual(before, known.read_text())
        self.assertGreater(float(lab.acked()[-1][3]), begin)
        self.assertEqual([], lab.judge(holder))


class DemoTest(base.BaseTestCase):

    def run_it(self, *words):
        return subprocess.run(
            [sys.executable, '-W', 'ignore', '-m',
             'tests.functional.platform.demo', *words], capture_output=True,
            text=True, timeout=300, env=labs.environment(), check=False)

    def test_one_fault_is_shown(self):
        done = self.run_it('switch asked for')
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)
        drawn = [line for line in done.stdout.splitlines()
                 if line.strip().startswith(('n1 ', 'n2 ', 'n3 '))
                 and '#' in line]
        self.assertGreaterEqual(len(drawn), 2, done.stdout)
        self.assertRegex(done.stdout, r'switch asked for +n\d +n\d .* none')

    def test_unknown_fault_is_refused_before_anything_is_started(self):
        done = self.run_it('fire')
        self.assertEqual(2, done.returncode)
        self.assertIn('no such fault: fire', done.stderr)
