# SPDX-License-Identifier: Apache-2.0
"""Fencing on real machines: kernel, multipath, sanlock, watchdog.

Each test starts two machines from the saved state and loses the SAN (or a
part of it) under direct I/O. No test looks at how long something took.
"""

import json
import os
from pathlib import Path

import fixtures
from oslotest import base
from testtools.content import text_content

from devstack.fence_lab import scenario
from devstack.fence_lab.lab import Lab
from devstack.fence_lab.prepare import paths
from devstack.fence_lab.prepare import VG
from devstack.sandbox.process import wait_until

# Each test is given a HOME of its own; the built machines are in the real one.
CACHE = os.environ.get('XDG_CACHE_HOME') or str(Path.home() / '.cache')


class LabTestCase(base.BaseTestCase):
    def setUp(self):
        super().setUp()
        self.useFixture(fixtures.EnvironmentVariable('XDG_CACHE_HOME', CACHE))
        self.lab = Lab()
        self.addCleanup(self.lab.close)
        self.lab.open()
        self.addOnException(self._tell)
        self.scene = scenario.Scene(self.lab)
        self.node = self.lab.one

    def _tell(self, _error):
        for node in self.lab.nodes:
            self.addDetail(f'console-{node.number}', text_content(
                node.console_text()[-8000:]))

    def fence(self, *words, check=True):
        """Run the command on node 1; return its JSON."""
        done = self.node.run(
            'cinder-tagged-fence', '--config-file', '/dev/null', words[0],
            '--json', *words[1:], deadline=200, check=check)
        return json.loads(done.out)

    def table(self, volume):
        return self.scene.tables()[f'{VG}-{volume}']

    def assert_survived(self):
        self.assertTrue(self.node.alive)
        self.assertFalse(self.node.reset)

    def cut_and_lose(self):
        self.scene.cut()
        self.scene.await_paths_lost()

    def lockspace(self):
        return f'VG {VG} ' in self.node.run('lvmlockctl', '-i').out


class TestStock(LabTestCase):
    def test_stock_node_is_reset_with_all_on_it(self):
        found = scenario.stock(self.lab, self._note)
        self.assertIsNotNone(found.node_reset)
        self.assertIsNone(found.io_ended)
        self.assertGreater(found.peer_active, found.node_reset)

    def _note(self, text):
        self.addDetail(text, text_content(text))


class TestWatcher(LabTestCase):
    def test_node_lives_peer_takes_over_and_volumes_come_back(self):
        found = scenario.fenced(self.lab, lambda text: None)
        self.assert_survived()
        self.assertIsNone(found.node_reset)
        self.assertLessEqual(found.io_ended, found.locks_dropped)
        self.assertLess(found.locks_dropped, found.peer_active)
        self.assertEqual(0, found.late_blocks)
        self.assertEqual(
            ["recovered in part: back ['two'], elsewhere ['one']"],
            found.notes)
        self.assertEqual('error', self.table('one'))
        self.assertEqual('linear', self.table('two'))
        other = self.scene.report('other')
        self.assertEqual(0, other['errors'])


class TestKillCommand(LabTestCase):
    def test_sanlocks_own_kill_path_spares_the_node(self):
        self.lab.install()
        self.scene.use_kill_command()
        self.scene.other_device()
        self.scene.write('one')
        self.scene.cut()
        self.scene.await_drop()
        self.assertEqual('error', self.table('one'))
        self.assertEqual('error', self.table('two'))
        self.assertEqual('linear', self.table('lvmlock'))
        wait_until(lambda: 'lvm_vg' not in self.node.run(
            'sanlock', 'client', 'status').out, 120, 'sanlock gone')
        self.assertEqual(0, self.scene.report('other')['errors'])
        self.assert_survived()


class TestPartialLoss(LabTestCase):
    """Only one of the group's two physical volumes is lost."""

    def test_data_lost_leases_alive_and_the_reverse(self):
        self.lab.install()
        self.scene.write('one')
        self.scene.write('two')
        self._data_lost()
        self._leases_lost()
        self.assert_survived()

    def _lose(self, lun, name):
        self.lab.san.lun_online(lun, False)
        wait_until(lambda: paths(self.node)[name] == 0, 120,
                   f'loss of {name}', interval=0.5)

    def _regain(self, lun, name):
        self.lab.san.lun_online(lun, True)
        wait_until(lambda: paths(self.node)[name] == 2, 180,
                   f'return of {name}', interval=0.5)

    def _data_lost(self):
        self._lose(2, 'san2')
        plan = self.fence('plan', VG)
        self.assertEqual('dead-pvs', plan['scope'])
        found = self.fence('run', VG)
        self.assertEqual('isolated, locks kept', found['outcome'])
        self.assertEqual(('error', 'linear'),
                         (self.table('one'), self.table('two')))
        self.assertIn(f'VG {VG} ', self.node.run('lvmlockctl', '-i').out)
        self.assertEqual(0, self.scene.report('two')['errors'])
        self._regain(2, 'san2')
        back = self.fence('recover', VG)
        self.assertEqual(['one'], back['back'])
        self.assertEqual('linear', self.table('one'))
        wait_until(lambda: self.scene.report('one')['done_after_error'],
                   60, 'the old holder to write again', interval=0.5)

    def _leases_lost(self):
        self._lose(1, 'san1')
        found = self.fence('run', VG)
        self.assertEqual('released', found['outcome'])
        self.assertEqual({'error'}, {self.table('one'), self.table('two')})
        self._regain(1, 'san1')
        back = self.fence('recover', VG)
        self.assertEqual(['one', 'two'], sorted(back['back']))
        self.assertEqual({'linear'}, {self.table('one'), self.table('two')})


class TestQueueing(LabTestCase):
    """multipathd turns queueing on again behind our back."""

    def test_removed_path_queues_again_and_is_ended_again(self):
        self.lab.install()
        self.scene.write('one')
        self.cut_and_lose()
        self.node.run('multipathd', 'disablequeueing', 'map', 'san2')
        self.node.sh('echo 1 > /sys/block/sdb/device/delete')
        found = self.fence('run', VG)
        self.assertEqual('released', found['outcome'])
        self.assertEqual('error', self.table('one'))
        self.scene.await_io_end()
        self.assert_survived()


class TestBlip(LabTestCase):
    def test_paths_back_within_the_grace_are_ridden_out(self):
        self.lab.install()
        self.scene.write('one')
        self.scene.use_watcher('grace = 60\n')
        self.scene.cut()
        wait_until(lambda: 'fencing in' in self.scene.log(), 120,
                   'the suspicion', interval=0.5)
        self.scene.plug()
        done = self.scene.report('one')['done']
        wait_until(lambda: self.scene.report('one')['done'] > done, 120,
                   'writes to go on', interval=0.5)
        self.assertEqual(0, self.scene.report('one')['errors'])
        self.assertEqual('linear', self.table('one'))
        self.assert_survived()


class TestThin(LabTestCase):
    def test_thin_pool_is_cut_from_the_top_and_comes_back(self):
        self.lab.install()
        self.node.sh(f'lvcreate -qq -an -T -L 16m {VG}/pool '
                     f'/dev/mapper/san1 && lvcreate -qq -V 8m -n thin '
                     f'--thinpool pool {VG} && lvchange -aey {VG}/thin',
                     deadline=200)
        self.scene.write('thin')
        self.cut_and_lose()
        found = self.fence('run', VG)
        self.assertEqual('released', found['outcome'])
        tables = {n: kind for n, kind in self.scene.tables().items()
                  if n.startswith(f'{VG}-') and 'lvmlock' not in n}
        self.assertEqual({'error'}, set(tables.values()))
        self.scene.await_io_end('thin')
        self.node.sh('pkill -f /lab/writer.py; sleep 1', check=False)
        self.scene.plug()
        back = self.fence('recover', VG)
        self.assertIn('thin', back['back'])
        self.assertEqual('thin', self.table('thin'))
        self.assert_survived()


class TestKernelsWord(LabTestCase):
    """The kernel's answers are what dmsetup makes of them."""

    def test_ioctl_and_dmsetup_agree(self):
        self.lab.install()
        self.node.put('/lab/both.py', _BOTH)
        self.assertEqual('5 devices, the same\n', self.node.run(
            'python3', '/lab/both.py', deadline=200).out)


_BOTH = b"""
import sys
sys.path[:0] = ['/lab/code', '/lab/deps']
from cinder_tagged.ha.fence.adapters import devicemapper, dmsetup
ours, theirs = [{d.devno: d for d in tool.devices(60)}
                for tool in (devicemapper, dmsetup)]
print(len(ours), 'devices,', 'the same' if ours == theirs
      else f'different: {ours} {theirs}')
"""


class TestPathsBackBeforeTheDrop(LabTestCase):
    """Cut off by the kill command's hand, then the cables are back."""

    def test_volumes_come_back_under_the_locks_that_were_kept(self):
        self.lab.install()
        self.scene.write('one')
        self.cut_and_lose()
        found = self.fence('kill', VG)
        self.assertEqual('isolated', found['outcome'])
        self.assertEqual({'error'}, {self.table('one'), self.table('two')})
        self.assertTrue(self.lockspace())
        self.scene.plug()
        back = self.fence('recover', VG)
        self.assertEqual(['one', 'two'], sorted(back['back']))
        self.assertEqual({'linear'}, {self.table('one'), self.table('two')})
        wait_until(lambda: self.scene.report('one')['done_after_error'],
                   60, 'the old holder to write again', interval=0.5)
        self.assert_survived()


class TestInterrupted(LabTestCase):
    """Killed once here: each start takes these machines ten seconds.

    Every other place to die at is tried in the unit tests.
    """

    def test_killed_run_is_finished_by_the_next(self):
        self.lab.install()
        self.scene.write('one')
        self.cut_and_lose()
        self._kill_after(3)
        found = self.fence('run', VG)
        self.assertEqual('released', found['outcome'])
        self.assertEqual({'error'}, {self.table('one'), self.table('two')})
        self.assertFalse(self.lockspace())
        self.scene.await_io_end()
        self.scene.plug()
        back = self.fence('recover', VG)
        self.assertEqual(['one', 'two'], sorted(back['back']))
        self.assert_survived()

    def _kill_after(self, lines):
        """End a run without warning once it has logged that much."""
        self.node.sh(
            'cinder-tagged-fence --config-file /dev/null run '
            f'{VG} >/dev/null 2>/run/part.log & '
            'for i in $(seq 300); do '
            f'[ $(wc -l </run/part.log) -ge {lines} ] && break; '
            'sleep 0.1; done; pkill -9 -f fence.cli', check=False,
            deadline=100)


class TestLvmlockdDead(LabTestCase):
    def test_volumes_are_cut_and_the_reset_is_foretold(self):
        self.lab.install()
        self.scene.write('one')
        self.node.sh('pkill -9 lvmlockd')
        self.cut_and_lose()
        found = self.fence('run', VG, check=False)
        self.assertEqual('isolated, but the locks cannot be dropped',
                         found['outcome'])
        self.assertEqual({'error'}, {self.table('one'), self.table('two')})
        self.scene.await_io_end()


class TestSanlockDead(LabTestCase):
    """Nobody renews or lets go any more; the watchdog will fire."""

    def test_volumes_are_cut_and_lvmlockd_lets_go(self):
        self.lab.install()
        self.scene.write('one')
        self.cut_and_lose()
        self.node.sh('pkill -9 -x sanlock')
        found = self.fence('run', VG, check=False)
        self.assertEqual('released', found['outcome'])
        self.assertEqual({'error'}, {self.table('one'), self.table('two')})
        self.scene.await_io_end()


class TestNoMultipath(LabTestCase):
    """One plain path per disk: the volumes stand on what sysfs shows."""

    def test_disks_offline_are_enough(self):
        self.lab.install()
        self._do_without_multipath()
        self.scene.write('one')
        self.scene.cut()
        wait_until(lambda: 'offline' in self.node.sh(
            'cat /sys/block/sda/device/state').out, 120, 'loss of sda',
            interval=1)
        found = self.fence('run', VG)
        self.assertEqual('released', found['outcome'])
        self.assertNotIn('queueing', str(found['steps']))
        self.assertEqual({'error'}, {self.table('one'), self.table('two')})
        self.scene.await_io_end()
        self.assert_survived()

    def _do_without_multipath(self):
        self.node.sh(
            f'vgchange -an {VG} && vgchange --lock-stop {VG} && '
            'killall multipathd && sleep 2 && multipath -F; '
            'sed -i "s/multipath_component_detection = 1/'
            'multipath_component_detection = 0/" /etc/lvm/lvm.conf && '
            'echo 1 >/sys/block/sdc/device/delete && '
            'echo 1 >/sys/block/sdd/device/delete', deadline=200)
        wait_until(lambda: self.node.sh(
            f'vgchange --lock-start {VG}', check=False,
            deadline=200).code == 0, 300, 'the lockspace', interval=1)
        for name in ('one', 'two'):
            self.node.sh(f'lvchange -aey {VG}/{name}', deadline=100)
        self.assertNotIn('multipath', self.node.run('dmsetup', 'table').out)


class TestGroupsAtOnce(LabTestCase):
    def test_two_groups_are_fenced_side_by_side(self):
        self.lab.install()
        self._second_group()
        self.scene.write('one')
        self.scene.use_watcher()
        self.scene.cut()
        wait_until(lambda: all(f' {vg} +' in self.scene.log()
                               and self._released(vg)
                               for vg in (VG, 'vg2')),
                   300, 'both groups', interval=2)
        tables = self.scene.tables()
        self.assertEqual(
            {'error'}, {tables[name] for name in
                        ('vg-one', 'vg-two', 'vg2-three')})
        self.assertNotIn('VG ', self.node.run('lvmlockctl', '-i').out)
        self.assert_survived()

    def _released(self, vg):
        return any(f' {vg} +' in line and 'released:' in line
                   for line in self.scene.log().splitlines())

    def _second_group(self):
        self.lab.san.add_lun(3, 320)
        self.node.sh('iscsiadm -m session --rescan', deadline=200)
        wait_until(lambda: len(paths(self.node)) == 3, 120, 'a third map',
                   interval=1)
        name, = set(paths(self.node)) - {'san1', 'san2'}
        # LVM sees the new map only once udev has finished with it.
        wait_until(lambda: self.node.sh(
            f'udevadm settle && pvcreate -qq /dev/mapper/{name}',
            check=False, deadline=200).code == 0, 120, 'the new volume',
            interval=1)
        self.node.sh(f'vgcreate --shared vg2 /dev/mapper/{name}',
                     deadline=1200)
        self.node.sh('vgchange --lock-start vg2', deadline=400)
        self.node.sh('lvcreate -qq -aey -L 16m -n three vg2', deadline=400)
