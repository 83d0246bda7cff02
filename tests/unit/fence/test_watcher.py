# SPDX-License-Identifier: Apache-2.0
import ddt

from cinder_tagged.ha.fence.core.model import Lease
from cinder_tagged.ha.fence.core.model import Scope
from cinder_tagged.ha.fence.watcher import Watcher
from tests.unit.fence import test_fencing
from tests.unit.fence import world as w


@ddt.ddt
class TestWatcher(test_fencing.FencingTestCase):
    def setUp(self):
        super().setUp()
        self.world = w.standard()
        self.watched = self.fencer(self.world)

    def watcher(self, **extra):
        return Watcher(self.world, self.watched, grace=5, **extra)

    def test_sound_group_gets_no_order(self):
        self.assertEqual((), self.watcher().poll())

    def test_order_comes_after_the_grace(self):
        watcher = self.watcher()
        self.world.paths('mpatha', False)
        self.assertEqual((), watcher.poll())
        self.world.now += 4
        self.assertEqual((), watcher.poll())
        self.world.now += 1.1
        self.assertEqual(
            [('vg', Scope.WHOLE)],
            [(o.vg, o.scope) for o in watcher.poll()])

    def test_blip_starts_the_grace_anew(self):
        watcher = self.watcher()
        self.world.paths('mpatha', False)
        watcher.poll()
        self.world.now += 4
        self.world.paths('mpatha', True)
        watcher.poll()
        self.world.paths('mpatha', False)
        self.world.now += 4
        self.assertEqual((), watcher.poll())

    def test_one_path_left_is_no_fault(self):
        watcher = self.watcher()
        paths = self.world.devices['mpatha'].paths
        self.world.change('mpatha', paths=(
            paths[0], type(paths[1])('8:16', False)))
        watcher.poll()
        self.world.now += 60
        self.assertEqual((), watcher.poll())

    @ddt.data((59, False), (60, True))
    @ddt.unpack
    def test_lease_too_old(self, age, due):
        watcher = self.watcher()
        self.world.lease = Lease(10, age)
        watcher.poll()
        self.world.now += 6
        self.assertEqual(due, bool(watcher.poll()))

    def test_lease_given_up_by_sanlock_leaves_no_grace(self):
        self.world.lease = Lease(10, 80, recovering=True)
        self.assertTrue(self.watcher().poll())

    def test_locks_are_read_rarely_until_something_is_lost(self):
        watcher = self.watcher()
        for _ in range(4):
            watcher.poll()
            self.world.now += 1
        self.assertEqual(1, self.world.locks_read)
        self.world.paths('mpatha', False)
        watcher.poll()
        watcher.poll()
        self.assertEqual(2, self.world.locks_read)

    def test_fenced_group_is_left_alone(self):
        watcher = self.watcher()
        self.world.paths('mpatha', False)
        watcher.poll()
        self.world.now += 6
        self.watched.run(watcher.poll()[0])
        self.world.now += 5
        self.assertEqual((), watcher.poll())

    def test_recovers_by_itself_only_when_told(self):
        watcher = self.watcher(recover_after=30)
        self.world.paths('mpatha', False)
        watcher.poll()
        self.run_now(self.world)
        self.world.paths('mpatha', True)
        watcher.poll()
        self.world.now += 29
        self.assertEqual((), watcher.recoverable())
        self.world.now += 2
        self.assertEqual(('vg',), watcher.recoverable())
        self.assertEqual((), self.watcher().recoverable())
