# SPDX-License-Identifier: Apache-2.0
"""The fast way, the ordinary way and Cinder's own host manager agree."""

import hypothesis
from hypothesis import strategies as st

from cinder_tagged.scheduler import sequences
from tests.unit.scheduler import fakes

EXPRESSIONS = [None, 'ssd', 'db', 'ssd & db', 'ssd | hdd', '!ssd', 'tape']

reports = st.fixed_dictionaries({
    'tags': st.sampled_from(['ssd', 'hdd', 'ssd,db', 'ssd,shared', '']),
    'weight': st.sampled_from([0.0, 1.0, 1.0, 3.0]),
    'total_capacity_gb': st.sampled_from([10.0, 100.0, 'infinite']),
    'free_capacity_gb': st.sampled_from([0.0, 5.0, 100.0, 'unknown']),
    'allocated_capacity_gb': st.integers(0, 150),
    'reserved_percentage': st.sampled_from([0, 10]),
    'thin_provisioning_support': st.booleans(),
    'max_over_subscription_ratio': st.sampled_from([1.0, 2.0]),
    'backend_state': st.sampled_from(['up', 'up', 'down']),
})
requests = st.fixed_dictionaries({
    'require': st.sampled_from(EXPRESSIONS),
    'size': st.sampled_from([0, 1, 20, 90]),
    'zones': st.sampled_from([None, ['one'], ['two', 'one']]),
    'thick': st.booleans(),
})
steps = st.lists(st.one_of(
    st.tuples(st.just('report'), st.integers(0, 5), reports),
    st.tuples(st.just('place'), requests)), max_size=10)


class TestEquality(fakes.SchedulerTestCase):

    def filled(self, wanted):
        properties = self.properties(wanted['require'], wanted['size'], spec={
            'availability_zones': wanted['zones'], 'operation': None})
        if wanted['thick']:
            properties['volume_type']['extra_specs'][
                'provisioning:type'] = 'thick'
        return properties

    def report_to(self, managers, number, report, timestamp=None):
        values = dict(report)
        if not values['tags']:
            values.pop('weight')
        name = f'host@b{number}'
        self.database.volumes[f'{name}#pool'] = (
            report['allocated_capacity_gb'])
        for manager in managers:
            self.report(manager, name, timestamp=timestamp,
                        fsid=f'fsid-{number}', **values)

    def ordinary(self, manager, properties):
        """Go through FeatureFilter and FeatureWeigher as plain plugins."""
        found = manager.get_filtered_backends(
            list(manager.get_all_backend_states(self.context)), properties)
        return manager.get_weighed_backends(found, properties)

    def fast(self, manager, properties):
        found = manager.get_filtered_backends(
            manager.get_all_backend_states(self.context), properties)
        weighed = manager.get_weighed_backends(found, properties)
        self.assertIsInstance(weighed, sequences.LazyList)
        return weighed

    @staticmethod
    def told(weighed):
        return [(w.obj.backend_id, w.weight) for w in weighed]

    @hypothesis.settings(max_examples=60, deadline=None, derandomize=True)
    @hypothesis.given(
        st.lists(reports, min_size=1, max_size=6), steps,
        st.lists(requests, min_size=1, max_size=4),
        st.sampled_from(['proportional', 'strict', 'capacity']))
    def test_three_ways_one_result(self, first, history, last, policy):
        self.conf.config(group='feature', policy=policy)
        self.database.services.clear()
        for number in range(6):
            self.database.add(f'host@b{number}',
                              zone='one' if number % 2 else 'two')
        managers = [self.make_manager(), self.make_manager(),
                    self.make_stock_manager()]
        for number, report in enumerate(first):
            self.report_to(managers, number, report)
        for step in [*history, *(('place', r) for r in last)]:
            if step[0] == 'report':
                self.report_to(managers, *step[1:])
                continue
            properties = self.filled(step[1])
            ways = [self.fast(managers[0], properties),
                    self.ordinary(managers[1], properties),
                    self.ordinary(managers[2], properties)]
            results = [self.told(w) for w in ways]
            self.assertEqual(results[1], results[0])
            self.assertEqual(results[2], results[0])
            for way in ways:
                if way:
                    way[0].obj.consume_from_volume({'size': step[1]['size']})
                    # Reports of the same instant count for all of them.
                    way[0].obj.updated = None


class TestLazyList(fakes.SchedulerTestCase):

    @hypothesis.given(st.lists(st.integers(0, 9)), st.integers(-12, 12),
                      st.integers(-12, 12))
    def test_behaves_as_a_list(self, items, one, two):
        def lazy():
            return sequences.LazyList(iter(items))

        self.assertEqual(items, list(lazy()))
        self.assertEqual(len(items), len(lazy()))
        self.assertEqual(bool(items), bool(lazy()))
        self.assertEqual(items[::-1], lazy()[::-1])
        self.assertEqual(items[one:two], lazy()[one:two])
        self.assertEqual(lazy(), items)
        if -len(items) <= one < len(items):
            self.assertEqual(items[one], lazy()[one])
        else:
            self.assertRaises(IndexError, lambda: lazy()[one])
        changed, expected = lazy(), list(items)
        for item in changed[::-1]:
            if item % 2:
                changed.remove(item)
                expected.remove(item)
        self.assertEqual(expected, list(changed))

    def test_computes_no_more_than_is_looked_at(self):
        computed = []
        lazy = sequences.LazyList(
            computed.append(n) or n for n in range(100))
        self.assertTrue(lazy)
        self.assertEqual(0, lazy[0])
        self.assertEqual('[0, ...]', repr(lazy))
        for number in lazy:
            if number == 5:
                break
        self.assertEqual(6, len(computed))
