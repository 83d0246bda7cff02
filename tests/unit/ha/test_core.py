# SPDX-License-Identifier: Apache-2.0
"""The pure core's parts, table by table."""

import dataclasses

import ddt
from oslotest import base

from cinder_tagged.ha.core import actions as act
from cinder_tagged.ha.core import follow
from cinder_tagged.ha.core import hold
from cinder_tagged.ha.core import membership
from cinder_tagged.ha.core import messages
from cinder_tagged.ha.core import observe
from cinder_tagged.ha.core import record as rec
from cinder_tagged.ha.core import state as st
from cinder_tagged.ha.core import strategy
from cinder_tagged.ha.core import timing
from cinder_tagged.ha.core import turn

ME = rec.Identity('a', 'a.1', 'boot1')


def make_node(names='abcde', **kwargs):
    members = {n: st.Member(n, f'10.0.0.{i}', rack='r' + str(i % 2))
               for i, n in enumerate(names, 1)}
    kwargs.setdefault('faults', frozenset())
    kwargs.setdefault('etcd_ok_since', 0.0)
    return st.NodeState(
        me=ME, members=members, timing=timing.PROFILES['default'],
        council=membership.choose_council(members.values(), 7),
        roles={'control': st.RoleState('control')}, **kwargs)


@ddt.ddt
class TimingTest(base.BaseTestCase):

    @ddt.data(*timing.PROFILES)
    def test_profiles_obey_the_rules(self, name):
        self.assertEqual([], list(timing.problems(timing.PROFILES[name])))

    @ddt.data({'beat': 0.2}, {'renew': 0.3}, {'request': 0.7},
              {'etcd_election': 1.0}, {'margin': 0.001}, {'suspect': 0.9},
              {'stagger': 0.01}, {'drift': 0.2}, {'hold': 0},
              {'slow_factor': 1}, {'bury': 0.5})
    def test_a_broken_rule_is_named(self, change):
        found = list(timing.problems(dataclasses.replace(
            timing.PROFILES['default'], **change)))
        self.assertTrue(any(next(iter(change)) in text for text in found))

    def test_takeover_costs_the_longer_one(self):
        t = timing.PROFILES['default']
        self.assertLess(t.usual_takeover, t.suspect + t.hold)
        self.assertGreater(t.worst_takeover, t.usual_takeover)


@ddt.ddt
class RecordTest(base.BaseTestCase):

    def test_round_trip(self):
        record = rec.Record(3, 'a', 'a.1', 'boot', 7, 0.6, 2, 99)
        self.assertEqual(record, rec.load(rec.dump(record), 99))

    @ddt.data('', 'null', '[]', '{}', '{"epoch": "1"}',
              '{"epoch": true, "holder": "a"}')
    def test_load_fails_on_foreign_values(self, text):
        self.assertRaises(rec.BadRecord, rec.load, text, 1)

    def test_claim_keeps_the_larger_bound_until_opened(self):
        old = rec.Record(4, 'b', 'b.1', hold=3.0, shut=3, revision=9)
        new = rec.claim(old, ME, 1, 0.6, 0)
        self.assertEqual((5, 3.0, 3), (new.epoch, new.hold, new.shut))
        self.assertEqual(3.0, rec.renewal(new, 2, 0.6, False).hold)
        opened = rec.renewal(new, 2, 0.6, True)
        self.assertEqual((0.6, 4), (opened.hold, opened.shut))

    def test_claim_goes_above_every_epoch_ever_seen(self):
        self.assertEqual(
            12, rec.claim(rec.Record(2), ME, 1, 0.6, 11).epoch)

    def test_release_vouches_only_if_it_was_open(self):
        held = rec.Record(4, 'a', 'a.1', hold=0.6, shut=2)
        self.assertTrue(rec.release(held, 1, True).vacant)
        self.assertFalse(rec.release(held, 1, False).vacant)


@ddt.ddt
class MessagesTest(base.BaseTestCase):

    RECORD = rec.Record(3, 'b', hold=0.6, shut=2, revision=5)

    @ddt.data(
        messages.Beat(silent=('x',), load=1, applied={'control': 3},
                      holdings=(messages.Holding('control', RECORD, 0.1),)),
        messages.First('control', 3, 'a', '10.0.0.9/24'),
        messages.Second('control', '10.0.0.2', RECORD),
        messages.Third('control', RECORD), messages.Ack('control', 3),
        messages.Ready('control', 3), messages.Declined('control', 3, 'w'),
        messages.Released('control', 3),
        messages.Switch('control', 'b', True))
    def test_round_trip(self, message):
        self.assertEqual(
            message, messages.from_wire(messages.to_wire(message)))

    def test_holdings_of_the_first_release_are_understood(self):
        fields = messages.to_wire(messages.Beat(
            holdings=(messages.Holding('control', self.RECORD, 0.1),)))
        for name in ('sending', 'sending_age'):
            del fields['holdings'][0][name]
        holding = messages.from_wire(fields).holdings[0]
        self.assertEqual((0, 0.1), (holding.sending, holding.age))

    @ddt.data({}, {'k': 'first'}, {'k': 'nonsense'}, {'k': 'beat'},
              {'k': 'ack', 'role': 1, 'epoch': 1},
              {'k': 'ack', 'role': 'r', 'epoch': True},
              {'k': 'third', 'role': 'r', 'record': {'epoch': 1}},
              {'k': 'third', 'role': 'r', 'record': None})
    def test_from_wire_fails_on(self, fields):
        self.assertRaises(messages.BadMessage, messages.from_wire, fields)


@ddt.ddt
class StrategyTest(base.BaseTestCase):

    NODES = (strategy.Candidate('a', 'r1', 5, 2.0),
             strategy.Candidate('b', 'r2', 9, 1.0),
             strategy.Candidate('c', 'r1', 1, 0.1))

    @ddt.data(('priority', 'b'), ('lowest_load', 'c'), ('same_rack', 'a'),
              ('other_rack', 'b'))
    @ddt.unpack
    def test_first(self, name, first):
        self.assertEqual(first, strategy.order(
            strategy.STRATEGIES[name], 'control', self.NODES, 'r1')[0])

    def test_order_does_not_hang_on_the_order_of_input(self):
        key = strategy.STRATEGIES['priority']
        same = [strategy.Candidate(n) for n in 'abcd']
        self.assertEqual(strategy.order(key, 'x', same),
                         strategy.order(key, 'x', reversed(same)))


class MembershipTest(base.BaseTestCase):

    def _node(self, heard, silent=()):
        beat = messages.Beat(silent=tuple(silent))
        return make_node(peers={
            n: st.Peer(10.0, beat) for n in heard}, grace_from=5.0)

    def test_council_is_spread_over_racks(self):
        members = [st.Member(f'n{i:03}', '', rack=f'r{i % 4}')
                   for i in range(200)]
        council = membership.choose_council(members, 8)
        racks = [m.rack for m in members if m.name in council]
        self.assertEqual([2, 2, 2, 2],
                         [racks.count(f'r{i}') for i in range(4)])

    def test_datagrams_grow_with_the_nodes_not_with_their_square(self):
        sent = {}
        for count in (50, 200):
            members = {f'n{i:03}': st.Member(f'n{i:03}', '')
                       for i in range(count)}
            total = 0
            for name in members:
                node = make_node().evolve(
                    me=rec.Identity(name, 'x'), members=members,
                    council=membership.choose_council(members.values(), 7))
                total += sum(len(membership.targets(node.evolve(beats=b)))
                             for b in range(node.timing.slow_factor))
            sent[count] = total
        self.assertLess(sent[200], 4 * sent[50])

    def test_majority_misses(self):
        node = self._node('bcd', silent='e')
        self.assertIn('4 of 4', membership.majority_misses(node, 'e', 10.1))

    def test_one_that_only_one_peer_misses_is_not_dead(self):
        node = self._node('bcd')
        self.assertEqual('', membership.majority_misses(node, 'e', 10.1))

    def test_a_minority_has_no_voice(self):
        node = self._node('b', silent='e')
        self.assertEqual('', membership.majority_misses(node, 'e', 10.1))

    def test_dead_after_the_silence_that_counts_unless_it_said_goodbye(self):
        node = self._node('bcd', silent='e').evolve(told_silent=('e',))
        for why, now, dead in (('', 11.9, ()), ('', 12.1, ('e',)),
                               (membership.STOPPING, 12.1, ())):
            peers = {n: st.Peer(now, p.beat) for n, p in node.peers.items()}
            peers['e'] = st.Peer(10.0, messages.Beat(why=why))
            self.assertEqual(dead, membership.dead_names(
                node.evolve(peers=peers), now))

    def test_unfit_nodes_are_not_ranked(self):
        node = self._node('bc')
        node = node.evolve(peers={
            **node.peers, 'b': st.Peer(10.0, messages.Beat(eligible=False))})
        ranks = membership.ranking(node, node.roles['control'], 10.1)
        self.assertEqual({'a', 'c'}, set(ranks))


class ObserveTest(base.BaseTestCase):

    def test_a_beat_bounds_the_time_of_the_renewal(self):
        record = rec.Record(3, 'b', 'b.1', hold=0.6, shut=2, revision=5)
        node = observe.observe(make_node(), observe.Heard('b', messages.Beat(
            holdings=(messages.Holding('control', record, 0.25),))), 100.0)
        self.assertEqual(99.75, node.roles['control'].seen_at)

    def test_a_renewal_that_its_holder_announced_is_timed_by_that(self):
        record = rec.Record(3, 'b', 'b.1', seq=7, hold=0.6, shut=2,
                            revision=5)
        renewed = dataclasses.replace(record, seq=8, revision=6)
        node = observe.observe(make_node(), observe.Heard('b', messages.Beat(
            holdings=(messages.Holding('control', record, 0.1, True, 8,
                                       0.02),))), 100.0)
        # b died then; who suspects it reads the record.
        node = observe.observe(node, observe.ReadDone(
            'control', 100.3, renewed), 100.4)
        role = node.roles['control']
        self.assertEqual((renewed, 99.98), (role.record, role.seen_at))

    def test_an_announced_number_says_nothing_of_another_write(self):
        record = rec.Record(3, 'b', 'b.1', seq=7, hold=0.6, shut=2,
                            revision=5)
        node = observe.observe(make_node(), observe.Heard('b', messages.Beat(
            holdings=(messages.Holding('control', record, 0.1, True, 8,
                                       0.02),))), 100.0)
        for other in (dataclasses.replace(record, seq=9, revision=7),
                      dataclasses.replace(record, seq=8, revision=8,
                                          instance='b.2')):
            node = observe.observe(node, observe.ReadDone(
                'control', 100.3, other), 100.4)
            self.assertEqual(100.4, node.roles['control'].seen_at)

    def test_a_beat_cannot_speak_for_another_node(self):
        record = rec.Record(3, 'c', 'c.1', hold=0.6, shut=2, revision=5)
        node = observe.observe(make_node(), observe.Heard('b', messages.Beat(
            holdings=(messages.Holding('control', record, 0.25),))), 100.0)
        self.assertIsNone(node.roles['control'].record)

    def test_strangers_are_not_heard(self):
        node = observe.observe(
            make_node(), observe.Heard('zz', messages.Beat()), 1.0)
        self.assertEqual({}, node.peers)

    def test_etcd_gone_backwards_keeps_the_epoch(self):
        node = make_node()
        for sent, record in ((1.0, rec.Record(9, 'b', 'b.1', revision=50)),
                             (2.0, rec.Record(2, 'c', 'c.1', revision=7))):
            node = observe.observe(node, observe.ReadDone(
                'control', sent, record), sent + 0.1)
        role = node.roles['control']
        self.assertEqual((7, 9), (role.record.revision, role.floor))
        opens = follow.opening(turn.Turn(node, role, 3.0), role.record)
        self.assertGreater(opens, 3.0 + node.timing.hold)

    def test_an_answer_to_an_older_read_changes_nothing(self):
        node = make_node()
        node = observe.observe(node, observe.ReadDone(
            'control', 1.0, rec.Record(9, 'b', 'b.1', revision=50)), 2.0)
        node = observe.observe(node, observe.ReadDone(
            'control', 0.9, rec.Record(8, 'c', 'c.1', revision=40)), 2.1)
        self.assertEqual(50, node.roles['control'].record.revision)


@ddt.ddt
class LettingGoTest(base.BaseTestCase):

    @ddt.data(('a', True), ('b', False))
    @ddt.unpack
    def test_services_are_told_whether_another_has_the_role(self, holder,
                                                            lapsed):
        record = rec.Record(3, holder, 'a.1', 'boot1', 1, 0.6, 2, 9)
        role = st.RoleState(
            'control', phase=st.Phase.HOLDING, epoch=3, record=record,
            opened=True, address_on=True, authority=10.0, gate_until=10.0)
        found = turn.Turn(make_node(etcd_ok_since=None), role, 10.1)
        hold.holding(found)
        self.assertIn(act.StopServices('control', lapsed), found.actions)
