# SPDX-License-Identifier: Apache-2.0

import itertools

from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from oslotest import base

from cinder_tagged import placement
from cinder_tagged.moves import planning
from tests.unit.moves import clouds

PROPORTIONAL = placement.get_policy('proportional')
WORDS = ('ssd', 'hdd', 'db', 'public')


def drain(volumes, pools, *names):
    return planning.drain(
        'drain', volumes, pools,
        frozenset(f'n1@{name}#volumes' for name in names), PROPORTIONAL)


def targets(plan):
    return {m.volume: clouds.name(m.target) for m in plan.moves}


class DrainTest(base.BaseTestCase):

    def test_goes_where_tags_and_weights_say(self):
        pools = [clouds.pool('old'), clouds.pool('a', weight=3),
                 clouds.pool('b'), clouds.pool('hdd', 'hdd')]
        volumes = [clouds.volume(n, 'old', require='ssd') for n in range(8)]
        plan = drain(volumes, pools, 'old')
        found = list(targets(plan).values())
        self.assertEqual((6, 2), (found.count('a'), found.count('b')))
        self.assertEqual([], plan.left)

    def test_other_backends_stay_out_of_it(self):
        plan = drain([clouds.volume(1, 'a')],
                     [clouds.pool('old'), clouds.pool('a')], 'old')
        self.assertEqual(([], []), (plan.moves, plan.left))

    def test_not_into_the_same_cluster_by_another_host(self):
        pools = [clouds.pool('old', fsid='x'),
                 clouds.pool('old', fsid='x', host='n2')]
        plan = drain([clouds.volume(1, 'old')], pools, 'old')
        self.assertEqual({}, targets(plan))
        self.assertEqual('no other cluster takes it: there is none',
                         plan.left[0].why)

    def test_what_stays_says_why(self):
        pools = [clouds.pool('old', 'ssd,db'), clouds.pool('a', total=15)]
        plan = drain([clouds.volume(1, 'old', require='db'),
                      clouds.volume(2, 'old', size=10),
                      clouds.volume(3, 'old', size=9),
                      clouds.volume(4, 'old', obstacle='it is in-use')],
                     pools, 'old')
        self.assertEqual({'v2': 'a'}, targets(plan))
        self.assertEqual({
            'v1': 'no other cluster takes it: a (lacks db)',
            'v3': 'no other cluster takes it: a (9 GiB asked, 5 GiB left by '
                  'its oversubscription limit)',
            'v4': 'it is in-use'}, {v.volume: v.why for v in plan.left})

    def test_type_refused_by_cinders_filters(self):
        pools = [clouds.pool('old'), clouds.pool('a'), clouds.pool('b')]
        plan = drain([clouds.volume(
            1, 'old', refused=frozenset({'n1@a#volumes'}))], pools, 'old')
        self.assertEqual({'v1': 'b'}, targets(plan))

    def test_refusals_of_cinders_filters_say_so(self):
        pools = [clouds.pool('old'), clouds.pool('a'),
                 clouds.pool('b', 'hdd'), clouds.pool('c', up=False)]
        plan = drain([clouds.volume(
            1, 'old', require='ssd', others='volume_backend_name=old',
            refused=frozenset(f'n1@{name}#volumes' for name in 'abc'))],
            pools, 'old')
        self.assertEqual({}, targets(plan))
        self.assertEqual(
            "no other cluster takes it: a (the type's other extra specs "
            'refuse it: volume_backend_name=old), c (the backend reports its '
            'cluster as down), b (lacks ssd)', plan.left[0].why)

    def test_backend_that_reports_nothing(self):
        plan = drain([clouds.volume(1, 'old')], [clouds.pool('a')], 'old')
        self.assertEqual({'v1': 'a'}, targets(plan))

    def test_shares(self):
        pools = [clouds.pool('old', held=30), clouds.pool('a', held=5)]
        plan = drain([clouds.volume(1, 'old', 30)], pools, 'old')
        self.assertEqual([('a', 5, 35), ('old', 30, 0)], [
            (s.cluster, s.before_gb, s.after_gb) for s in plan.shares])
        # The caller's stay as they were.
        self.assertEqual([0, 0], [p.pending_gb for p in pools])


class RebalanceTest(base.BaseTestCase):

    def test_what_is_listed_counts_if_it_is_more_than_reported(self):
        pools = [clouds.pool('a'), clouds.pool('b')]
        volumes = [clouds.volume(n, 'b') for n in range(4)]
        plan = planning.rebalance('r', volumes, pools, 0.05)
        self.assertEqual([('a', 0, 20), ('b', 40, 20)], [
            (s.cluster, s.before_gb, s.after_gb) for s in plan.shares])

    def test_in_proportion_to_weights_with_fewest_moves(self):
        pools = [clouds.pool('a', weight=3), clouds.pool('b', held=400)]
        volumes = [clouds.volume(n, 'b', require='ssd') for n in range(40)]
        plan = planning.rebalance('r', volumes, pools, 0.05)
        self.assertEqual({'a': 300, 'b': 100},
                         {s.cluster: s.after_gb for s in plan.shares})
        self.assertEqual(30, len(plan.moves))

    def test_few_great_volumes_instead_of_many_small_ones(self):
        pools = [clouds.pool('a'), clouds.pool('b', held=200)]
        volumes = [clouds.volume(n, 'b', 10) for n in range(10)]
        volumes.append(clouds.volume('great', 'b', 100))
        plan = planning.rebalance('r', volumes, pools, 0.05)
        self.assertEqual({'vgreat': 'a'}, targets(plan))

    def test_level_loads_are_left_alone(self):
        pools = [clouds.pool('a', held=100), clouds.pool('b', held=104)]
        volumes = [clouds.volume(n, 'b', 1) for n in range(50)]
        self.assertEqual([], planning.rebalance(
            'r', volumes, pools, 0.05).moves)
        self.assertEqual(2, len(planning.rebalance(
            'r', volumes, pools, 0).moves))

    def test_weight_zero_gives_all_and_takes_nothing(self):
        pools = [clouds.pool('a', held=500), clouds.pool('b', weight=0,
                                                         held=20)]
        volumes = [clouds.volume(1, 'b'), clouds.volume(2, 'b'),
                   *(clouds.volume(n, 'a') for n in range(3, 50))]
        plan = planning.rebalance('r', volumes, pools, 0.05)
        self.assertEqual({'v1': 'a', 'v2': 'a'}, targets(plan))

    def test_within(self):
        pools = [clouds.pool('a'), clouds.pool('b', held=100),
                 clouds.pool('c')]
        volumes = [clouds.volume(n, 'b') for n in range(10)]
        plan = planning.rebalance('r', volumes, pools, 0.05, frozenset(
            {'n1@a#volumes', 'n1@b#volumes'}))
        self.assertEqual({'a'}, set(targets(plan).values()))
        self.assertEqual(5, len(plan.moves))

    def test_a_backend_that_is_down_gives_and_takes_nothing(self):
        pools = [clouds.pool('a', up=False), clouds.pool('b', held=100),
                 clouds.pool('c', up=False, held=100)]
        volumes = [clouds.volume(1, 'b'), clouds.volume(2, 'c')]
        self.assertEqual([], planning.rebalance(
            'r', volumes, pools, 0.05).moves)


@st.composite
def cloud(draw):
    pools = [clouds.pool(
        f'p{n}', ','.join(draw(st.sets(st.sampled_from(WORDS), min_size=1))),
        draw(st.sampled_from([0.0, 1.0, 2.0, 3.0])),
        draw(st.integers(20, 300)), draw(st.integers(0, 20)))
        for n in range(draw(st.integers(2, 5)))]
    volumes = []
    for n in range(draw(st.integers(0, 25))):
        home = draw(st.sampled_from(pools))
        home.provisioned_gb += 10
        volumes.append(clouds.volume(
            n, home.backend, draw(st.integers(1, 20)),
            draw(st.sampled_from(['', *WORDS, 'ssd & !db'])),
            draw(st.sampled_from(['', '', '', 'it is in-use']))))
    return pools, volumes


def after(pools, volumes, plan):
    """Return what each backend holds at each step of a plan."""
    held = {p.backend: max(p.provisioned_gb, sum(
        v.size_gb for v in volumes if v.backend == p.backend))
        for p in pools}
    yield dict(held)
    for move in plan.moves:
        held[move.source] -= move.size_gb
        held[move.target] += move.size_gb
        yield dict(held)


def unevenness(pools, held):
    """Return the sum of load times load per weight; first that of weight 0."""
    idle = sum(held[p.backend] for p in pools if not p.weight)
    return idle, sum(held[p.backend] ** 2 / p.weight
                     for p in pools if p.weight)


class PropertiesTest(base.BaseTestCase):

    def check(self, pools, volumes, plan):
        by_id = {v.id: v for v in volumes}
        by_name = {p.backend: p for p in pools}
        seen = [v.volume for v in (*plan.moves, *plan.left, *plan.aside)]
        self.assertEqual(len(seen), len(set(seen)))
        steps = list(after(pools, volumes, plan))[1:]
        for move, held in zip(plan.moves, steps, strict=True):
            volume, target = by_id[move.volume], by_name[move.target]
            self.assertEqual('', volume.obstacle)
            self.assertEqual(volume.backend, move.source)
            self.assertNotEqual(move.source, move.target)
            if volume.wish.require:
                self.assertTrue(
                    volume.wish.require.matches(target.feature.words))
            self.assertLessEqual(held[move.target], target.total_gb)

    @settings(max_examples=150, deadline=None)
    @given(cloud())
    def test_drain(self, made):
        pools, volumes = made
        plan = drain(volumes, pools, 'p0')
        self.check(pools, volumes, plan)
        self.assertEqual(
            sorted(v.id for v in volumes if clouds.name(v.backend) == 'p0'),
            sorted([m.volume for m in plan.moves]
                   + [v.volume for v in plan.left]))
        for move in plan.moves:
            self.assertNotEqual('p0', clouds.name(move.target))

    @settings(max_examples=150, deadline=None)
    @given(cloud())
    def test_rebalance_gets_better_with_every_move(self, made):
        pools, volumes = made
        plan = planning.rebalance('r', volumes, pools, 0.05)
        self.check(pools, volumes, plan)
        steps = [unevenness(pools, held)
                 for held in after(pools, volumes, plan)]
        for before, then in itertools.pairwise(steps):
            self.assertLess(then, before)
