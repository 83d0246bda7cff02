# SPDX-License-Identifier: Apache-2.0
import dataclasses

import hypothesis
from hypothesis import strategies as st
from oslotest import base

from cinder_tagged import features
from cinder_tagged import placement

EXPRESSIONS = [None, 'ssd', 'hdd', 'ssd & db', 'ssd | hdd', '!ssd',
               'medium:ssd', 'tape']


@st.composite
def pools(draw, name):
    cluster = draw(st.sampled_from('abcdef'))
    tags = draw(st.lists(st.sampled_from(
        ['medium:ssd', 'hdd', 'db', 'public']), unique=True))
    feature = features.SecondLevelFeature(
        f'b-{cluster}', features.Cluster(f'fsid-{cluster}', cluster, 'vols'),
        features.parse_tags(tags), draw(st.sampled_from([0, 0.5, 1, 3]))
    ) if tags else None
    total = draw(st.sampled_from([100.0, 1000.0, float('inf')]))
    return placement.Pool(
        backend=name, feature=feature,
        up=draw(st.sampled_from([True, True, True, False])), total_gb=total,
        free_gb=min(total, draw(st.sampled_from([0.0, 50.0, 900.0]))),
        allocated_gb=draw(st.integers(0, 300)),
        provisioned_gb=draw(st.sampled_from([0, 0, 120])),
        pending_gb=draw(st.integers(0, 20)),
        reserved_percentage=draw(st.sampled_from([0, 5])),
        max_over_subscription_ratio=draw(st.sampled_from([1.0, 20.0])),
        thin=draw(st.booleans()),
        images=frozenset(draw(st.lists(st.sampled_from(['i1', 'i2']),
                                       max_size=2))))


@st.composite
def steps(draw):
    """A history of reports, placements, losses and requests."""
    names = [f'host{n}@b#p' for n in range(8)]
    history = []
    for _ in range(draw(st.integers(1, 25))):
        name = draw(st.sampled_from(names))
        history.append(draw(st.one_of(
            st.tuples(st.just('put'), pools(name)),
            st.tuples(st.just('put'), pools(name)),
            st.tuples(st.just('consume'), st.just(name), st.integers(-5, 50)),
            st.tuples(st.just('drop'), st.just(name)),
            st.tuples(st.just('schedulers'), st.integers(1, 3)),
            st.tuples(st.just('ask'), st.sampled_from(EXPRESSIONS),
                      st.sampled_from([0, 1, 40, 500]), st.booleans(),
                      st.sampled_from([None, 'i1', 'i2']),
                      st.sampled_from([(), ('fsid-a',), ('fsid-b', 'x')]),
                      st.sampled_from([0.0, 0.1, 1.0])))))
    return history


class TestIndex(base.BaseTestCase):

    @hypothesis.settings(max_examples=150, deadline=None)
    @hypothesis.given(steps(), st.sampled_from(sorted(placement.POLICIES)))
    def test_agrees_with_the_full_judgement(self, history, policy_name):
        policy = placement.get_policy(policy_name)
        index = placement.PlacementIndex(policy)
        mirror = {}
        asks = [('ask', e, 10, True, 'i1', ('fsid-a',), 0.25)
                for e in EXPRESSIONS]
        for step in history + asks:
            if step[0] == 'put':
                index.put(step[1])
                mirror[step[1].backend] = dataclasses.replace(step[1])
            elif step[0] == 'consume':
                index.consume(*step[1:])
                if step[1] in mirror:
                    mirror[step[1]].pending_gb += step[2]
            elif step[0] == 'drop':
                index.drop(step[1])
                mirror.pop(step[1], None)
            elif step[0] == 'schedulers':
                index.schedulers = step[1]
            else:
                request = placement.Request(
                    step[2], features.parse_expression(step[1])
                    if step[1] else None, thin=step[3], image_id=step[4],
                    holders=frozenset(step[5]), preference=step[6])
                decision = placement.decide(
                    request, mirror.values(), policy, index.schedulers)
                self.assertEqual(
                    [v.backend for v in decision.verdicts if v.accepted],
                    [p.backend for p in index.ranked(request)])
                judged = {name: index.judge(request, name)
                          for name in mirror}
                self.assertEqual(
                    [v.backend for v in decision.verdicts if v.accepted],
                    sorted((n for n, j in judged.items() if j.accepted),
                           key=lambda n: judged[n].order))
                self.assertEqual(
                    {v.backend for v in decision.verdicts if v.matched},
                    index.matching(request))

    def test_many_expressions_are_forgotten_in_turn(self):
        index = placement.PlacementIndex(placement.get_policy('strict'))
        index.put(placement.Pool('h@b#p', features.SecondLevelFeature(
            'b', features.Cluster('f', 'c', 'p'),
            features.parse_tags('ssd'))))
        for n in range(200):
            request = placement.Request(
                1, features.parse_expression(f'ssd & !x{n}'))
            self.assertEqual(1, len(list(index.ranked(request))))

    def test_long_histories_do_not_grow_the_index(self):
        index = placement.PlacementIndex(placement.get_policy('proportional'))
        for n in range(20):
            index.put(placement.Pool(f'h{n}@b#p'))
        request = placement.Request(1)
        for _ in range(3000):
            index.consume(next(index.ranked(request)).backend, 1)
        self.assertEqual([150.0] * 20,
                         [p.pending_gb for p in index.pools.values()])
        self.assertLess(len(index._changes), 300)
        self.assertLess(sum(len(h) for v in index._views.values()
                            for h in v.heaps.values()), 300)
