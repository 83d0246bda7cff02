# SPDX-License-Identifier: Apache-2.0
import ddt
from hypothesis import given
from hypothesis import strategies as st
from oslotest import base

from cinder_tagged.ha.fence.core import names
from cinder_tagged.ha.fence.core import timers

LEGAL = st.text('abc-._+', min_size=1, max_size=12).filter(
    lambda text: not text.startswith('-'))


@ddt.ddt
class TestNames(base.BaseTestCase):
    @ddt.data(('vg-lv', ('vg', 'lv', '')),
              ('my--vg-my--lv', ('my-vg', 'my-lv', '')),
              ('vg-pool-tpool', ('vg', 'pool', 'tpool')),
              ('a----b-c', ('a--b', 'c', '')))
    @ddt.unpack
    def test_split(self, name, parts):
        self.assertEqual(parts, names.split_name(name))

    @given(LEGAL, LEGAL)
    def test_join_then_split(self, vg, lv):
        if vg.endswith('-') or lv.endswith('-'):
            return
        self.assertEqual(
            (vg, lv, ''), names.split_name(names.join_name(vg, lv)))

    def test_identity_uses_lvms_printed_uuid(self):
        found = names.identify(
            'vg-lv', 'LVM-aW5fIUZ0sPqvXFsgnmbK0000000000007xoDtuyvNMiwQx'
            'C94tBbYsUzBlo8hAIa')
        self.assertEqual('7xoDtu-yvNM-iwQx-C94t-BbYs-UzBl-o8hAIa',
                         found.uuid)

    @ddt.data('mpath-3600', 'CRYPT-LUKS2-x', '', 'part1-mpath-3600')
    def test_other_devices_have_none(self, uuid):
        self.assertIsNone(names.identify('a-b', uuid))

    @ddt.data('pool_tdata', 'r_rimage_0', 'c_cdata')
    def test_hidden_by_name(self, lv):
        found = names.identify(f'vg-{lv}', 'LVM-' + 'a' * 64)
        self.assertTrue(found.hidden)


@ddt.ddt
class TestTimers(base.BaseTestCase):
    @ddt.data((10, 60, 80, 40, 130, 140), (5, 30, 40, 15, 60, 70),
              (2, 10, 16, 0, 16, 26))
    @ddt.unpack
    def test_deadlines(self, io, watchdog, kill, grace, reset, takeover):
        found = timers.deadlines(
            timers.Timers(io_timeout=io, watchdog=watchdog))
        self.assertEqual(
            (kill, grace, reset, takeover),
            (found.kill_command, found.kill_grace, found.reset_earliest,
             found.takeover))

    def levels(self, **changed):
        return {f.subject: f.level
                for f in timers.check(timers.Timers(**changed))}

    def test_defaults_are_sound(self):
        self.assertEqual({'ok'}, set(self.levels(detection=10).values()))

    def test_iscsi_default_replacement_timeout_is_too_long(self):
        self.assertEqual(
            'error', self.levels(replacement=120)['transport'])

    def test_long_grace_collides_with_the_kill_command_then_the_reset(self):
        self.assertEqual('warning', self.levels(grace=60)['watcher'])
        self.assertEqual('error', self.levels(grace=120)['watcher'])

    def test_short_watchdog_leaves_the_kill_command_no_time(self):
        found = self.levels(io_timeout=2, watchdog=10)
        self.assertEqual('error', found['kill command'])

    def test_kill_deadline_beyond_the_watchdog(self):
        self.assertEqual('error', self.levels(kill=50)['kill command'])

    def test_shortest_io_timeout_leaves_the_watcher_its_time(self):
        iscsi = timers.Timers(detection=4)
        self.assertEqual(5, timers.shortest_io_timeout(iscsi))
        self.assertIn('5 s on every host can (100 s)',
                      timers.check(iscsi)[-1].message)
        self.assertNotIn('can (', timers.check(
            timers.Timers(io_timeout=5, detection=4))[-1].message)
        self.assertIsNone(timers.shortest_io_timeout(
            timers.Timers(grace=1000)))
