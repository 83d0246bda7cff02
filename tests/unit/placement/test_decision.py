# SPDX-License-Identifier: Apache-2.0
import math

import ddt
from oslotest import base

from cinder_tagged import exceptions
from cinder_tagged import features
from cinder_tagged import placement


def pool(name, tags='ssd', weight=1.0, host='host', **values):
    feature = features.SecondLevelFeature(
        name, features.Cluster(f'fsid-{name}', name, 'vols'),
        features.parse_tags(tags), weight) if tags else None
    values.setdefault('total_gb', 1000.0)
    values.setdefault('free_gb', values['total_gb'])
    values.setdefault('thin', True)
    values.setdefault('max_over_subscription_ratio', 20.0)
    return placement.Pool(f'{host}@{name}#vols', feature, **values)


def ask(expression=None, size=1, **values):
    return placement.Request(size, features.parse_expression(expression)
                             if expression else None, **values)


def place(pools, count, policy='proportional', size=1, schedulers=1,
          expression='ssd'):
    index = placement.PlacementIndex(placement.get_policy(policy), schedulers)
    for each in pools:
        index.put(each)
    for _ in range(count):
        found = next(index.ranked(ask(expression, size)), None)
        if found is not None:
            index.consume(found.backend, size)
    return {p.feature.backend: p.pending_gb for p in index.pools.values()}


@ddt.ddt
class TestPolicies(base.BaseTestCase):

    def test_proportional_shares_by_weight(self):
        self.assertEqual({'a': 300, 'b': 100}, place(
            [pool('a', weight=3), pool('b', weight=1)], 400))

    def test_proportional_counts_what_is_there_already(self):
        self.assertEqual({'a': 350, 'b': 50}, place(
            [pool('a', weight=3, allocated_gb=100),
             pool('b', weight=1, allocated_gb=100)], 400))

    def test_proportional_never_passes_what_a_cluster_can_take(self):
        self.assertEqual({'a': 60, 'b': 340}, place(
            [pool('a', weight=3, total_gb=3.0), pool('b', weight=1)], 400))

    def test_hosts_of_one_cluster_share_its_part(self):
        pools = [pool('a', host='h1'), pool('a', host='h2'), pool('b')]
        index = placement.PlacementIndex(
            placement.get_policy('proportional'))
        for each in pools:
            index.put(each)
        for _ in range(400):
            index.consume(next(index.ranked(ask('ssd'))).backend, 1)
        self.assertEqual({'h1@a#vols': 100, 'h2@a#vols': 100,
                          'host@b#vols': 200},
                         {n: p.pending_gb for n, p in index.pools.items()})

    @ddt.data('proportional', 'strict', 'capacity')
    def test_weight_0_only_when_nothing_else_can(self, policy):
        self.assertEqual({'a': 20, 'spare': 80}, place(
            [pool('a', total_gb=1.0), pool('spare', weight=0)], 100,
            policy=policy))

    def test_strict_fills_the_highest_and_spills_over(self):
        self.assertEqual({'a': 40, 'b': 20, 'c': 20}, place(
            [pool('b', total_gb=1.0), pool('c', weight=0.5),
             pool('a', weight=3, total_gb=2.0)], 80, policy='strict'))

    def test_capacity_prefers_room_whatever_the_weight(self):
        self.assertEqual({'a': 0, 'b': 5}, place(
            [pool('a', weight=9, total_gb=10.0), pool('b', total_gb=20.0)],
            5, policy='capacity'))


@ddt.ddt
class TestSeveralSchedulers(base.BaseTestCase):
    """Schedulers see the same report, and not each other's placements."""

    @ddt.data(1, 2, 3, 5)
    def test_a_burst_on_stale_reports_evens_out(self, schedulers):
        # One cluster is new and empty: each scheduler alone would fill the
        # whole difference.
        placed = {'old': 0, 'new': 0}
        for _ in range(schedulers):
            one = place([pool('old', allocated_gb=300), pool('new')],
                        600 // schedulers, schedulers=schedulers)
            placed = {name: placed[name] + one[name] for name in placed}
        self.assertEqual(450, placed['new'])
        self.assertEqual(150, placed['old'])

    def test_the_last_room_is_left_alone_while_there_is_other(self):
        placed = place([pool('a', weight=9, total_gb=2.0), pool('b')], 100,
                       schedulers=2)
        # 40 GiB fit in a; from the point where two schedulers could not both
        # use what is left, b takes over.
        self.assertEqual({'a': 39, 'b': 61}, placed)

    def test_the_last_room_is_used_when_there_is_no_other(self):
        self.assertEqual({'a': 40}, place([pool('a', total_gb=2.0)], 100,
                                          schedulers=2))


@ddt.ddt
class TestCapacity(base.BaseTestCase):

    @ddt.data(
        (dict(total_gb=10.0, allocated_gb=195), 10, 'oversubscription'),
        (dict(total_gb=100.0, free_gb=0.0), 1, 'free'),
        (dict(total_gb=100.0, free_gb=9.0, reserved_percentage=10), 1,
         'reserved'),
        (dict(total_gb=100.0, thin=False, allocated_gb=95), 10, 'capacity'),
        (dict(total_gb=100.0, thin=False, free_gb=4.0), 10, 'free'),
        (dict(total_gb=100.0, thin=False, reserved_percentage=95), 10,
         'reserved'),
        (dict(total_gb=math.inf, free_gb=50.0, reserved_percentage=5), 1,
         'reserved'),
    )
    @ddt.unpack
    def test_refused_with_the_limit(self, values, size, limit):
        decision = placement.decide(
            ask('ssd', size), [pool('a', **values)],
            placement.get_policy('proportional'))
        verdict = decision.verdicts[0]
        self.assertIsNone(decision.chosen)
        self.assertTrue(verdict.matched)
        self.assertEqual(limit, verdict.limit)
        self.assertIn(f'{size} GiB asked', verdict.reasons[0])

    def test_unknown_capacity_takes_anything(self):
        decision = placement.decide(
            ask('ssd', 10 ** 6),
            [pool('a', total_gb=math.inf, free_gb=math.inf)],
            placement.get_policy('proportional'))
        self.assertIsNotNone(decision.chosen)

    def test_a_volume_that_is_there_already_needs_no_room(self):
        full = pool('a', free_gb=0.0)
        decision = placement.decide(
            ask('ssd', 10, present_on=full.backend), [full],
            placement.get_policy('strict'))
        self.assertEqual(full.backend, decision.chosen.backend)

    def test_thick_types_ignore_oversubscription(self):
        half_full = pool('a', total_gb=100.0, allocated_gb=60)
        policy = placement.get_policy('strict')
        self.assertIsNotNone(
            placement.decide(ask('ssd', 50), [half_full], policy).chosen)
        self.assertIsNone(placement.decide(
            ask('ssd', 50, thin=False), [half_full], policy).chosen)


class TestExplain(base.BaseTestCase):

    def decide(self, request, *pools, policy='proportional'):
        return placement.decide(request, pools, placement.get_policy(policy))

    def test_every_backend_has_a_verdict_and_a_reason(self):
        decision = self.decide(
            ask('ssd & !shared', 10),
            pool('a', 'ssd', weight=3, allocated_gb=90),
            pool('b', 'ssd', allocated_gb=10),
            pool('c', 'hdd'), pool('d', 'ssd, shared'),
            pool('e', 'ssd', up=False, down_reason='no heartbeat for 70 s'),
            pool('f', 'ssd', free_gb=0.0), pool('g', ''))
        self.assertEqual(
            [('host@b#vols', 1, ('holds 10% of what these clusters hold, '
                                 'weight 1 entitles it to 25%',)),
             ('host@a#vols', 2, ('holds 90% of what these clusters hold, '
                                 'weight 3 entitles it to 75%',)),
             ('host@e#vols', None, ('no heartbeat for 70 s',)),
             ('host@f#vols', None, ('10 GiB asked, 0 GiB left by its free '
                                    'space',)),
             ('host@c#vols', None, ('lacks ssd',)),
             ('host@d#vols', None, ('has shared',)),
             ('host@g#vols', None, ('lacks ssd',))],
            [(v.backend, v.rank, v.reasons) for v in decision.verdicts])
        self.assertEqual('host@b#vols', decision.chosen.backend)

    def test_summaries_name_no_backend(self):
        pools = [pool('a', 'ssd', free_gb=0.0), pool('b', 'ssd', up=False),
                 pool('c', 'hdd')]
        for expression, text in [
                ('hdd', "the features 'hdd' can be served"),
                ('tape & hdd', "no cluster has the features 'tape & hdd'; "
                               'no cluster carries the tag tape'),
                ('ssd & hdd', "no cluster has the features 'ssd & hdd'"),
                ('ssd', "2 cluster(s) have the features 'ssd', but 1 without "
                        'room for 1 GiB, 1 down or already tried')]:
            self.assertEqual(
                text, self.decide(ask(expression), *pools).summary())
        self.assertEqual('no storage backend is known',
                         self.decide(ask('ssd')).summary())

    def test_room_of_a_down_backend_is_no_reason(self):
        # Drivers report no free space while their cluster is down.
        decision = self.decide(ask('ssd'), pool(
            'a', up=False, down_reason='it is down', free_gb=0.0))
        self.assertEqual((('it is down',), None),
                         (decision.verdicts[0].reasons,
                          decision.verdicts[0].limit))
        self.assertEqual("1 cluster(s) have the features 'ssd', but 1 down "
                         'or already tried', decision.summary())

    def test_tried_backends_are_left_out(self):
        first = pool('a')
        decision = self.decide(
            ask('ssd', excluded=frozenset([first.backend])), first)
        self.assertEqual(('it was tried before and failed',),
                         decision.verdicts[0].reasons)


class TestRequirement(base.BaseTestCase):

    def test_type_and_hint_must_both_hold(self):
        joined = placement.requirement({'feature:require': 'ssd | nvme'},
                                       {'feature': ['db', '!shared']})
        self.assertEqual('(ssd | nvme) & db & !shared', str(joined))

    def test_nothing_asked(self):
        self.assertIsNone(placement.requirement({'a': 'b'}, None))
        self.assertIsNone(placement.requirement(None, {'group': 'x'}))

    def test_an_empty_expression_is_refused(self):
        self.assertRaises(exceptions.ExpressionError, placement.requirement,
                          {'feature:require': ''}, None)


class TestFromCapabilities(base.BaseTestCase):

    def test_reads_a_report(self):
        caps = {'total_capacity_gb': 100, 'free_capacity_gb': 60,
                'allocated_capacity_gb': 30, 'reserved_percentage': 5,
                'max_over_subscription_ratio': '20.0',
                'thin_provisioning_support': True, 'backend_state': 'down',
                'feature_tags': ['ssd'], 'feature_weight': 2,
                'feature_fsid': 'f', 'feature_cluster': 'c',
                'feature_pool': 'p', 'feature_backend': 'b'}
        found = placement.Pool.from_capabilities('h@b#p', caps)
        self.assertEqual(('f', 'p'), found.key)
        self.assertEqual((100, 60, 30, 5, 20, 2), (
            found.total_gb, found.free_gb, found.allocated_gb,
            found.reserved_percentage, found.max_over_subscription_ratio,
            found.weight))
        self.assertFalse(found.up)

    def test_an_untagged_backend_of_unknown_size(self):
        found = placement.Pool.from_capabilities(
            'h@lvm#p', {'total_capacity_gb': 'infinite',
                        'free_capacity_gb': 'unknown'})
        self.assertEqual(('', 'h@lvm#p'), found.key)
        self.assertTrue(math.isinf(found.free_gb))
        self.assertEqual(1.0, found.weight)

    def test_auto_oversubscription(self):
        ratio = placement.Pool.from_capabilities('x', {
            'total_capacity_gb': 100, 'free_capacity_gb': 51,
            'provisioned_capacity_gb': 100,
            'max_over_subscription_ratio': 'auto'
        }).max_over_subscription_ratio
        self.assertEqual(3.0, ratio)
