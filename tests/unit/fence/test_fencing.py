# SPDX-License-Identifier: Apache-2.0
import random
import tempfile

import ddt
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from oslotest import base

from cinder_tagged.ha.fence import exceptions
from cinder_tagged.ha.fence.adapters.records import RecordStore
from cinder_tagged.ha.fence.core import facts as raw
from cinder_tagged.ha.fence.core.facts import Block
from cinder_tagged.ha.fence.core.facts import DmDevice
from cinder_tagged.ha.fence.core.model import Lease
from cinder_tagged.ha.fence.core.model import Order
from cinder_tagged.ha.fence.core.model import Scope
from cinder_tagged.ha.fence.fencer import Fencer
from tests.unit.fence import world as w


class FencingTestCase(base.BaseTestCase):
    def setUp(self):
        super().setUp()
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.store = RecordStore(directory.name)

    def fencer(self, world, deadline=60):
        return Fencer(world, self.store, deadline)

    def run_now(self, world, **order):
        fencer = self.fencer(world)
        found = fencer.order('vg')
        return fencer.run(Order('vg', scope=order.pop('scope', found.scope),
                                reason=found.reason, **order))


@ddt.ddt
class TestFencing(FencingTestCase):
    def test_all_paths_lost(self):
        world = w.standard()
        world.paths('mpatha', False)
        report = self.run_now(world)
        self.assertEqual('released', report.outcome)
        self.assertEqual({'vg-one', 'vg-two--b'}, world.isolated())
        self.assertEqual(
            ['end queueing on mpatha (multipathd disablequeueing)',
             'replace the table of vg-one by an error target',
             'replace the table of vg-two--b by an error target',
             'drop the locks of vg in lvmlockd'], world.done)

    def test_nothing_lost_touches_nothing(self):
        world = w.standard()
        report = self.run_now(world)
        self.assertEqual('nothing to do', report.outcome)
        self.assertEqual([], world.done)
        self.assertIsNone(self.store.load('vg'))

    def test_forced_on_sound_storage_keeps_queueing(self):
        world = w.standard()
        report = self.run_now(world, forced=True)
        self.assertEqual('released', report.outcome)
        self.assertNotIn('queueing', ' '.join(world.done))

    @ddt.data(1, 2)
    def test_queueing_again_after_a_reload_ends_in_an_override(self, times):
        world = w.standard()
        world.paths('mpatha', False)
        world.rearm = times
        report = self.run_now(world)
        self.assertEqual('released', report.outcome)
        self.assertEqual({'wwid-mpatha'}, world.overrides)

    def test_queueing_again_between_two_wipes(self):
        world = w.standard()
        world.paths('mpatha', False)

        def reload_once(step):
            if 'two--b' in str(step):
                world.before_step = lambda step: None
                world.change('mpatha', queueing=True)
        world.before_step = reload_once
        report = self.run_now(world)
        self.assertEqual('released', report.outcome)
        self.assertEqual([], world.wrongs)
        self.assertEqual({'vg-one', 'vg-two--b'}, world.isolated())

    def test_run_twice_changes_nothing_more(self):
        world = w.standard()
        world.paths('mpatha', False)
        self.run_now(world)
        first = self.store.load('vg')
        world.done.clear()
        self.assertEqual('released', self.run_now(world).outcome)
        self.assertEqual([], world.done)
        self.assertEqual(first, self.store.load('vg'))

    def test_kill_never_drops(self):
        world = w.standard()
        world.lease = Lease(10, 81, recovering=True)
        report = self.run_now(world, drop=False, forced=True)
        self.assertEqual('isolated', report.outcome)
        self.assertIsNotNone(world.locks)
        self.assertEqual({'vg-one', 'vg-two--b'}, world.isolated())

    def test_leases_lost_with_data_alive_cuts_all(self):
        world = w.World(
            w.mpath('mpatha', '253:0', alive=False),
            w.mpath('mpathb', '253:5'),
            w.lv('lvmlock', 'L', '253:1', '253:0'),
            w.lv('one', 'A', '253:2', '253:5'))
        self.assertEqual('released', self.run_now(world).outcome)
        self.assertEqual({'vg-one'}, world.isolated())

    def test_data_lost_with_leases_alive_keeps_locks(self):
        world = w.World(
            w.mpath('mpatha', '253:0'),
            w.mpath('mpathb', '253:5', alive=False),
            w.lv('lvmlock', 'L', '253:1', '253:0'),
            w.lv('one', 'A', '253:2', '253:5'),
            w.lv('two', 'B', '253:3', '253:0'),
            w.lv('both', 'D', '253:4', '253:0 253:5'))
        report = self.run_now(world)
        self.assertEqual('isolated, locks kept', report.outcome)
        self.assertEqual({'vg-one', 'vg-both'}, world.isolated())
        self.assertEqual(3, len(world.locks))

    def test_partial_run_widens_when_leases_go_too(self):
        world = w.World(
            w.mpath('mpatha', '253:0'),
            w.mpath('mpathb', '253:5', alive=False),
            w.lv('lvmlock', 'L', '253:1', '253:0'),
            w.lv('one', 'A', '253:2', '253:5'),
            w.lv('two', 'B', '253:3', '253:0'))
        world.before_step = lambda step: world.paths('mpatha', False)
        self.assertEqual('released', self.run_now(world).outcome)
        self.assertEqual({'vg-one', 'vg-two'}, world.isolated())

    def test_raid_with_a_living_leg_is_spared(self):
        world = w.World(
            w.mpath('mpatha', '253:0'),
            w.mpath('mpathb', '253:5', alive=False),
            w.lv('lvmlock', 'L', '253:1', '253:0'),
            w.lv('r_rimage_0', 'X', '253:6', '253:0'),
            w.lv('r_rimage_1', 'Y', '253:7', '253:5'),
            w.lv('r', 'R', '253:8', '253:6 253:7', kind='raid'),
            w.lv('one', 'A', '253:2', '253:5'))
        self.run_now(world)
        self.assertEqual({'vg-one'}, world.isolated())

    def test_thin_pool_goes_from_the_top_down(self):
        world = w.World(
            w.mpath('mpatha', '253:0', alive=False),
            w.lv('lvmlock', 'L', '253:1', '253:0'),
            w.lv('pool_tmeta', 'M', '253:2', '253:0'),
            w.lv('pool_tdata', 'D', '253:3', '253:0'),
            w.lv('pool-tpool', 'P', '253:4', '253:2 253:3', 'thin-pool',
                 layer='tpool'),
            w.lv('thin', 'T', '253:5', '253:4', 'thin'))
        world.locks = {w.printed('P'): 'ex'}
        self.run_now(world)
        wiped = [s.split()[4] for s in world.done if 'table' in s]
        self.assertEqual(
            ['vg-thin', 'vg-pool-tpool', 'vg-pool_tdata', 'vg-pool_tmeta'],
            wiped)
        record = {v.lv: v for v in self.store.load('vg').volumes}
        self.assertEqual(w.printed('P'), record['thin'].lock_uuid)
        self.assertTrue(record['pool_tdata'].hidden)

    def test_snapshot_and_origin_go_before_what_carries_them(self):
        world = w.World(
            w.mpath('mpatha', '253:0', alive=False),
            w.lv('lvmlock', 'L', '253:1', '253:0'),
            w.lv('o-real', 'O', '253:2', '253:0', layer='real'),
            w.lv('o', 'O', '253:3', '253:2', 'snapshot-origin'),
            w.lv('s-cow', 'S', '253:4', '253:0', layer='cow'),
            w.lv('s', 'S', '253:5', '253:2 253:4', 'snapshot'))
        self.assertEqual('released', self.run_now(world).outcome)
        self.assertEqual(
            ['vg-o', 'vg-s', 'vg-o-real', 'vg-s-cow'],
            [s.split()[4] for s in world.done if 'table' in s])
        self.assertEqual({'o', 's'}, {
            v.lv for v in self.store.load('vg').volumes})

    def test_encrypted_physical_volume_is_looked_through(self):
        world = w.World(
            w.mpath('mpatha', '253:0', alive=False),
            w.lv('lvmlock', 'L', '253:1', '253:8'),
            w.lv('one', 'A', '253:2', '253:8'))
        world.devices['secret'] = DmDevice(
            'secret', 'CRYPT-LUKS2-x', '253:8', targets=('crypt',),
            below=('253:0',))
        self.assertEqual('released', self.run_now(world).outcome)
        self.assertEqual({'vg-one'}, world.isolated())
        self.assertFalse(world.devices['mpatha'].queueing)

    @ddt.data('', 'offline', 'transport-offline')
    def test_no_multipath_goes_straight_to_the_wipe(self, state):
        world = w.World(
            w.lv('lvmlock', 'L', '253:1', '8:0'),
            w.lv('one', 'A', '253:2', '8:0'),
            blocks=(Block('sda', '8:0', 'disk', state),) if state else ())
        self.assertEqual('released', self.run_now(world).outcome)
        self.assertIn('vg-one', world.done[0])

    def test_paths_back_before_the_first_wipe_restores_queueing(self):
        world = w.standard()
        world.paths('mpatha', False)

        def back(step):
            world.paths('mpatha', True)
        world.before_step = back
        self.assertEqual('nothing to do', self.run_now(world).outcome)
        self.assertEqual(set(), world.isolated())
        self.assertTrue(world.devices['mpatha'].queueing)
        self.assertIsNone(self.store.load('vg'))

    def test_paths_back_between_wipes_carries_on(self):
        world = w.standard()
        world.paths('mpatha', False)

        def back(step):
            if 'two--b' in str(step):
                world.paths('mpatha', True)
        world.before_step = back
        self.assertEqual('released', self.run_now(world).outcome)
        self.assertEqual([], world.wrongs)

    def test_lvmlockd_dead_is_told_and_still_cuts(self):
        world = w.standard()
        world.paths('mpatha', False)
        world.lockd_up = False
        report = self.run_now(world)
        self.assertFalse(report.ok)
        self.assertIn('cannot be dropped', report.outcome)
        self.assertEqual({'vg-one', 'vg-two--b'}, world.isolated())

    def test_sanlock_dead_still_cuts_and_drops(self):
        world = w.standard()
        world.paths('mpatha', False)
        world.sanlock_up = False
        world.lease = None
        self.assertEqual('released', self.run_now(world).outcome)

    def test_other_groups_are_not_touched(self):
        world = w.standard()
        world.paths('mpatha', False)
        self.run_now(world)
        self.assertEqual(
            ('linear',), world.devices['ceph--data-osd'].targets)

    def test_hung_wipe_does_not_delay_the_others(self):
        world = w.standard()
        world.paths('mpatha', False)

        def hang(step):
            if 'vg-one' in str(step):
                world.now += 5
                raise exceptions.ToolTimeout('dmsetup', 5)
        world.before_step = hang
        self.assertRaises(
            exceptions.FenceError, self.run_now, world)
        self.assertEqual({'vg-two--b'}, world.isolated())
        self.assertIsNotNone(world.locks)

    def test_partition_between_volume_and_map(self):
        world = w.standard()
        part = w.mpath('mpatha-part1', '253:7')
        world.devices['mpatha-part1'] = type(part)(
            'mpatha-part1', 'part1-mpath-wwid-mpatha', '253:7',
            targets=('linear',), below=('253:0',))
        world.change('vg-one', below=('253:7',))
        view = raw.view_of(world.facts(), 'vg')
        self.assertEqual(('253:0',), view.volume('vg-one').below)

    def test_plan_touches_nothing_and_names_every_step(self):
        world = w.standard()
        world.paths('mpatha', False)
        fencer = self.fencer(world)
        steps = fencer.plan(fencer.order('vg'))
        self.assertEqual([], world.done)
        self.run_now(world)
        self.assertEqual(world.done, [str(s) for s in steps[:-1]])

    def test_another_run_holds_the_group(self):
        world = w.standard()
        world.paths('mpatha', False)
        with self.store.locked('vg', 1):
            self.assertRaises(
                exceptions.Busy, self.fencer(world, 0.2).run, Order('vg'))


class TestInterrupted(FencingTestCase):
    """Whatever happens in between, locks go only after the cut."""

    @settings(max_examples=60, deadline=None)
    @given(st.integers(0, 2**32))
    def test_chaos(self, seed):
        chance = random.Random(seed)
        world = w.standard()
        world.paths('mpatha', False)

        def trouble(step):
            dice = chance.random()
            if dice < 0.2:
                raise exceptions.ToolFailed('tool', 1, 'no')
            if dice < 0.3:
                raise KeyboardInterrupt
            if dice < 0.5:
                world.change('mpatha', queueing=True)
        world.before_step = trouble
        for _ in range(200):
            try:
                report = self.fencer(world).run(
                    Order('vg', Scope.WHOLE, reason='chaos'))
            except (KeyboardInterrupt, exceptions.FenceError):
                continue
            if report.outcome == 'released':
                break
        self.assertEqual([], world.wrongs)
        self.assertEqual({'vg-one', 'vg-two--b'}, world.isolated())
        self.assertIsNone(world.locks)
        self.store.clear('vg')
