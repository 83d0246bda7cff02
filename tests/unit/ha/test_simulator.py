# SPDX-License-Identifier: Apache-2.0
"""Seeded fault schedules, and proof that the simulator can see a defect."""

from unittest import mock

import ddt
from oslotest import base

from cinder_tagged.ha.core import actions as act
from cinder_tagged.ha.core import decide
from cinder_tagged.ha.core import follow
from cinder_tagged.ha.core import hold
from cinder_tagged.ha.core import observe
from cinder_tagged.ha.core import state as st
from cinder_tagged.ha.core import timing
from cinder_tagged.ha.core import turn
from cinder_tagged.ha.sim import faults
from cinder_tagged.ha.sim import schedule

SEEDS = 40
MUTANT_SEEDS = 120


@ddt.ddt
class SchedulesTest(base.BaseTestCase):

    @ddt.data(*range(8))
    def test_invariants_hold(self, part):
        for seed in range(part, SEEDS, 8):
            schedule.run(seed)

    def test_a_seed_replays(self):
        self.assertEqual(schedule.run(5), schedule.run(5))


class QuietTest(base.BaseTestCase):

    def _world(self, **kwargs):
        world = schedule.build(7, **kwargs)
        world.run(3.0)
        return world

    def test_ten_quiet_minutes_without_a_move(self):
        world = schedule.build(7, nodes=3, profile='calm')
        world.run(15.0)
        moves = len(world.moves)
        world.run(615.0)
        self.assertEqual(moves, len(world.moves))

    def test_election_in_etcd_moves_nothing(self):
        world = self._world()
        holder = world.holders('control')
        for _ in range(5):
            faults.etcd_election(world, world.dice)
            world.run(world.time + 2)
        self.assertEqual((1, holder),
                         (len(world.moves), world.holders('control')))

    def test_etcd_lost_lets_go_and_same_node_resumes(self):
        world = self._world()
        holder = world.holders('control')
        heal = faults.etcd_down(world, world.dice)
        world.run(world.time + 5)
        self.assertEqual([], world.holders('control'))
        heal()
        world.run(world.time + 1)
        self.assertEqual(holder, world.holders('control'))
        self.assertEqual(1, len(world.moves))

    def test_expiry_and_suspicion_run_side_by_side(self):
        """A takeover costs the longer of the two, not their sum."""
        world = self._world()
        for _ in range(3):
            name = world.holders('control')[0]
            begin = world.time
            world.nodes[name].power_off()
            while not world.holders('control'):
                world.run(world.time + 0.005)
            took = world.time - begin
            self.assertLess(took, world.timing.wait(world.timing.hold)
                            + 2 * world.timing.beat)
            world.nodes[name].power_on()
            world.run(world.time + 3)

    def test_each_death_is_buried_once_by_the_holder(self):
        world = self._world()
        for _ in range(2):
            first = world.holders('control')[0]
            world.nodes[first].power_off()
            world.run(world.time + 2 * world.timing.bury)
            holder = world.holders('control')[0]
            self.assertEqual([(holder, first)], world.buried)
            world.nodes[first].power_on()
            world.run(world.time + 3)
            world.buried.clear()

    def test_agent_that_stopped_is_not_buried(self):
        world = self._world()
        holder = world.holders('control')[0]
        other = next(n for n in sorted(world.nodes) if n != holder)
        world.nodes[other].feed(observe.Operator('stop'))
        world.nodes[other].kill()
        world.run(world.time + 3 * world.timing.bury)
        self.assertEqual([], world.buried)

    def test_switch_leaves_no_hole(self):
        world = self._world()
        holder = world.holders('control')[0]
        target = next(n for n in sorted(world.nodes) if n != holder)
        world.nodes[holder].feed(
            observe.Operator('switch', 'control', target))
        dark = 0.0
        for _ in range(400):
            world.run(world.time + 0.001)
            dark += 0.001 * (not world.holders('control'))
        self.assertEqual([target], world.holders('control'))
        self.assertLess(dark, 0.02)

    def test_switch_to_dying_target_rolls_back(self):
        world = self._world()
        holder = world.holders('control')[0]
        target = next(n for n in sorted(world.nodes) if n != holder)
        world.nodes[holder].feed(
            observe.Operator('switch', 'control', target))
        world.nodes[target].kill()
        for _ in range(600):
            world.run(world.time + 0.001)
            self.assertEqual([holder], world.holders('control'))


@ddt.ddt
class MutantsTest(base.BaseTestCase):
    """Each safeguard, taken out, is missed by the simulator."""

    def _broken(self, *words):
        """True if a seed breaks safety (liveness does not count)."""
        for seed in range(MUTANT_SEEDS):
            try:
                schedule.run(seed)
            except AssertionError as exc:
                if any(word in str(exc) for word in words or (
                        'opens', 'epoch of')):
                    return True
        return False

    def _mutant(self, target, name, replacement):
        with mock.patch.object(target, name, replacement):
            self.assertTrue(self._broken(), f'{name} is not missed')

    def test_without_waiting_for_the_old_holder(self):
        self._mutant(follow, 'opening', lambda turn, old: turn.now)

    def test_without_margin_and_drift(self):
        self._mutant(timing.Timing, 'wait', lambda self, hold: hold * 0.97)

    def test_without_the_epoch_check(self):
        def holding(turn):
            if turn.now >= turn.role.authority:
                hold._let_go(turn)
            turn.set(epoch=turn.record.epoch)
            hold._renew(turn)
            hold._open(turn)
        original = observe.learn

        def learn(role, record, bound, now):
            role = original(role, record, bound, now)
            if role.phase is st.Phase.HOLDING:
                role = role.evolve(authority=max(role.authority, now + 0.3))
            return role
        with mock.patch.object(observe, 'learn', learn), \
                mock.patch.dict(decide._STEPS, {st.Phase.HOLDING: holding}):
            self.assertTrue(self._broken())

    def test_with_authority_from_the_answer_not_from_the_sending(self):
        original = observe._written

        def written(node, role, seen, now):
            pending = role.pending
            node = original(node, role, seen, now)
            after = node.roles[role.name]
            if pending and after.authority != role.authority:
                node = observe.put(node, after.evolve(
                    authority=now + node.timing.hold))
            return node
        with mock.patch.object(observe, '_written', written), \
                mock.patch.object(timing.Timing, 'wait',
                                  lambda self, hold: hold * 1.002 + 0.01):
            self.assertTrue(self._broken())

    def test_with_a_renewal_taken_for_an_earlier_one(self):
        original = observe.learn

        def learn(role, record, bound, now):
            if record.holder == role.announced_write[0]:
                bound = min(bound, role.announced_at)
            return original(role, record, bound, now)
        with mock.patch.object(observe, 'learn', learn):
            self.assertTrue(self._broken())

    def test_with_one_write_number_for_several_writes(self):
        def next_seq(self):
            return 1
        with mock.patch.object(turn.Turn, 'next_seq', next_seq), \
                mock.patch.object(timing.Timing, 'wait',
                                  lambda self, hold: hold * 1.002 + 0.001):
            self.assertTrue(self._broken())

    def test_with_certificates_before_the_gate_is_shut(self):
        def shut(self):
            if self.role.opened:
                self.do(act.Certify(self.role.name, self.role.epoch),
                        act.Shut(self.role.name))
        with mock.patch.object(turn.Turn, 'shut', shut):
            self.assertTrue(self._broken('vouches'))
