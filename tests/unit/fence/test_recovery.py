# SPDX-License-Identifier: Apache-2.0
from cinder_tagged.ha.fence import exceptions
from cinder_tagged.ha.fence.core import recovery
from tests.unit.fence import test_fencing
from tests.unit.fence import world as w


class TestRecovery(test_fencing.FencingTestCase):
    def fenced(self, opened=(), **extra):
        world = w.standard()
        world.paused = extra.get('paused', ())
        for name in opened:
            world.change(name, opened=1)
            world.real[name] = world.devices[name]
        world.paths('mpatha', False)
        self.run_now(world)
        world.paths('mpatha', True)
        world.done.clear()
        return world

    def test_unused_volumes_come_back_anew(self):
        world = self.fenced()
        report, end = self.fencer(world).recover('vg')
        self.assertTrue(report.ok)
        self.assertEqual(('one', 'two-b'), end.back)
        self.assertEqual(set(), world.isolated())
        self.assertTrue(world.devices['mpatha'].queueing)
        self.assertIsNone(self.store.load('vg'))
        self.assertNotIn('real table', ' '.join(world.done))

    def test_held_volumes_are_refreshed_under_their_lock(self):
        world = self.fenced(opened=['vg-one', 'vg-two--b'],
                            paused=('guest-1',))
        _report, end = self.fencer(world).recover('vg')
        self.assertEqual(recovery.Result.RECOVERED, end.result)
        self.assertEqual([], world.wrongs)
        self.assertEqual(set(), world.isolated())
        self.assertEqual(('guest-1',), world.resumed)
        text = ' '.join(world.done)
        self.assertLess(text.index('take the ex lock of vg/one'),
                        text.index('real table of vg/one'))

    def test_volume_taken_elsewhere_stays_cut_off(self):
        world = self.fenced(opened=['vg-one', 'vg-two--b'],
                            paused=('guest-1',))
        world.elsewhere = {w.printed('A')}
        report, end = self.fencer(world).recover('vg')
        self.assertTrue(report.ok)
        self.assertEqual(recovery.Result.IN_PART, end.result)
        self.assertEqual((('two-b',), ('one',)), (end.back, end.taken))
        self.assertEqual({'vg-one'}, world.isolated())
        self.assertEqual([], world.wrongs)
        self.assertEqual((), world.resumed)
        left = self.store.load('vg')
        self.assertEqual(['one'], [v.lv for v in left.volumes])

    def test_volume_given_back_later_is_recovered_by_another_run(self):
        world = self.fenced(opened=['vg-one', 'vg-two--b'])
        world.elsewhere = {w.printed('A')}
        self.fencer(world).recover('vg')
        world.elsewhere = set()
        _report, end = self.fencer(world).recover('vg')
        self.assertEqual(recovery.Result.RECOVERED, end.result)
        self.assertEqual(set(), world.isolated())

    def test_lock_start_that_races_with_udev_is_tried_again(self):
        world = self.fenced()
        failures = iter([True, True])

        def race(step):
            if isinstance(step, recovery.StartLocks) and next(
                    failures, False):
                raise exceptions.ToolFailed('vgchange', 5, 'invalid')
        world.before_step = race
        self.assertTrue(self.fencer(world).recover('vg')[0].ok)

    def test_refused_while_paths_are_lost(self):
        world = self.fenced()
        world.paths('mpatha', False)
        report, end = self.fencer(world).recover('vg')
        self.assertFalse(report.ok)
        self.assertEqual(recovery.Result.PATHS_DOWN, end.result)
        self.assertEqual([], world.done)
        self.assertIsNotNone(self.store.load('vg'))

    def test_lock_volume_on_error_is_removed_first(self):
        world = self.fenced()
        world.change('vg-lvmlock', targets=('error',), below=())
        self.fencer(world).recover('vg')
        self.assertIn('remove the unused error device vg-lvmlock',
                      world.done)

    def test_partial_fence_refreshes_with_the_kept_locks(self):
        world = w.World(
            w.mpath('mpatha', '253:0'), w.mpath('mpathb', '253:5'),
            w.lv('lvmlock', 'L', '253:1', '253:0'),
            w.lv('one', 'A', '253:2', '253:5'))
        world.change('vg-one', opened=1)
        world.real = dict(world.devices)
        world.paths('mpathb', False)
        self.run_now(world)
        world.paths('mpathb', True)
        world.done.clear()
        report, _end = self.fencer(world).recover('vg')
        self.assertTrue(report.ok)
        self.assertEqual(set(), world.isolated())
        self.assertNotIn('join', ' '.join(world.done))

    def test_nothing_fenced(self):
        self.assertRaises(
            exceptions.NotFenced, self.fencer(w.standard()).recover, 'vg')
