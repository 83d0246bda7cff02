# SPDX-License-Identifier: Apache-2.0
"""The tagged host manager under Cinder's own FilterScheduler."""

import collections

from cinder import exception
import ddt

from cinder_tagged.scheduler import sequences
from tests.unit.scheduler import fakes


def name_of(backend):
    return f'host@{backend}#pool'


@ddt.ddt
class TestCreate(fakes.SchedulerTestCase):

    def setUp(self):
        super().setUp()
        self.manager = self.make_manager()
        self.scheduler = self.make_scheduler(self.manager)

    def create(self, **values):
        """Return the backend that a new volume goes to."""
        properties = values.pop('properties', {})
        self.scheduler.schedule_create_volume(
            self.context, self.spec(**values), properties)
        volume = self.scheduler.volume_rpcapi.create_volume.call_args[0][1]
        return volume.host

    def test_goes_to_a_matching_backend(self):
        self.add_backend(self.manager, 'a', tags='hdd')
        self.add_backend(self.manager, 'b', tags='ssd')
        self.assertEqual(name_of('b'), self.create())

    def test_shares_by_weight(self):
        self.add_backend(self.manager, 'a', weight=3)
        self.add_backend(self.manager, 'b', weight=1)
        counts = collections.Counter(self.create() for _ in range(40))
        self.assertEqual({name_of('a'): 30, name_of('b'): 10}, counts)

    def test_hint_and_type_must_both_hold(self):
        self.add_backend(self.manager, 'a', tags='ssd')
        self.add_backend(self.manager, 'b', tags='ssd,db')
        self.assertEqual(name_of('b'), self.create(
            properties={'scheduler_hints': {'feature': 'db'}}))

    def test_without_features_any_backend_serves(self):
        self.add_backend(self.manager, 'a', tags='')
        self.assertEqual(name_of('a'), self.create(require=None))

    def test_a_tried_backend_is_not_tried_again(self):
        self.add_backend(self.manager, 'a', weight=3)
        self.add_backend(self.manager, 'b')
        properties = {}
        first = self.create(properties=properties)
        self.assertEqual(name_of('a'), first)
        self.assertEqual(3, len(properties['retry']))
        self.assertEqual(name_of('b'), self.create(properties=properties))
        pending = {p.backend: p.pending_gb for p in self.manager.board.pools()}
        self.assertEqual({name_of('a'): 0, name_of('b'): 1}, pending)

    def test_a_volume_goes_where_its_source_is(self):
        for name in 'abc':
            self.add_backend(self.manager, name)
        for place in ('host@b', name_of('b')):
            self.assertEqual(name_of('b'), self.create(resource_backend=place))

    def test_nothing_is_read_to_the_end(self):
        for n in range(50):
            self.add_backend(self.manager, f'b{n}')
        seen = []
        passes = self.manager.enabled_filters[1].backend_passes
        self.patch('cinder.scheduler.filters.capacity_filter.CapacityFilter.'
                   'backend_passes', lambda each, state, properties:
                   seen.append(state) or passes(each, state, properties))
        self.create()
        self.assertEqual(1, len(seen))

    @ddt.data(
        ('size', dict(size=30000), 'without room for 30000 GiB'),
        ('features', dict(require='tape'), 'carries the tag tape'),
        ('zone', dict(availability_zones=['other']),
         'AvailabilityZoneFilter refused them'),
        ('expression', dict(require='ssd &'), 'cannot read the feature'),
        ('source', dict(resource_backend='host@gone'), 'is not available'),
        ('full source', dict(resource_backend='host@a', size=30000),
         'it has to be where its source or its group is'),
    )
    @ddt.unpack
    def test_filter_fails_and_says_why(self, name, values, text):
        self.add_backend(self.manager, 'a')
        self.assertRaises(exception.NoValidBackend, self.create, **values)
        told = self.database.metadata[fakes.VOLUME_ID]
        self.assertIn(text, told['feature_explanation'])
        self.assertNotIn('host@', told['feature_explanation'])
        self.assertEqual(values.get('require', 'ssd'),
                         told['feature_request'])

    def test_filter_fails_also_when_nothing_can_be_stored(self):
        self.add_backend(self.manager, 'a')
        self.database.fails = True
        self.assertRaises(exception.NoValidBackend, self.create,
                          require='hdd')

    def test_filter_fails_for_other_work_without_touching_the_volume(self):
        self.add_backend(self.manager, 'a')
        self.assertRaises(exception.NoValidBackend, self.create,
                          require='hdd', operation='create_snapshot')
        self.assertEqual({}, self.database.metadata)

    def test_filter_fails_where_the_backend_reports_its_cluster_down(self):
        self.add_backend(self.manager, 'a', backend_state='down')
        self.assertRaises(exception.NoValidBackend, self.create)

    def test_filter_fails_where_the_report_is_unusable(self):
        self.add_backend(self.manager, 'a', tags='Ssd!')
        self.assertRaises(exception.NoValidBackend, self.create,
                          require=None)

    def test_thick_types_get_no_oversubscription(self):
        self.add_backend(self.manager, 'a', thick_provisioning_support=True)
        specs = {'feature:require': 'ssd', 'provisioning:type': 'thick'}
        self.assertRaises(exception.NoValidBackend, self.create, size=2000,
                          volume_type={'extra_specs': specs})
        self.assertEqual(name_of('a'), self.create(size=2000))


@ddt.ddt
class TestOtherOperations(fakes.SchedulerTestCase):

    def setUp(self):
        super().setUp()
        self.manager = self.make_manager()
        self.scheduler = self.make_scheduler(self.manager)
        self.add_backend(self.manager, 'a', weight=3)
        self.add_backend(self.manager, 'b', total_capacity_gb=1.0)
        self.add_backend(self.manager, 'c', tags='hdd')

    def passes(self, backend, properties=None, **values):
        return self.scheduler.backend_passes_filters(
            self.context, backend, self.spec(**values),
            properties or {}).backend_id

    def test_any_matching_backend_passes(self):
        for name in 'ab':
            self.assertEqual(name_of(name), self.passes(name_of(name)))
            self.assertEqual(name_of(name), self.passes(f'host@{name}'))

    def test_filter_fails_for_a_backend_without_the_feature(self):
        self.assertRaises(exception.NoValidBackend, self.passes,
                          name_of('c'))

    def test_extending_needs_room_for_the_growth_only(self):
        def extend(new_size):
            return self.passes(name_of('b'), {'new_size': new_size}, size=15,
                               operation='extend_volume')
        self.assertEqual(name_of('b'), extend(30))
        self.assertRaises(exception.NoValidBackend, extend, 36)

    def test_managing_needs_no_room(self):
        self.report(self.manager, 'host@b', fsid='fsid-b',
                    total_capacity_gb=1.0, free_capacity_gb=0)
        self.assertEqual(name_of('b'), self.passes(name_of('b'), size=0))
        self.assertRaises(exception.NoValidBackend, self.passes,
                          name_of('b'), size=1)

    def retype(self, require, policy='never'):
        spec = self.spec(require, 500, operation='retype_volume')
        spec['volume_properties'].update(host=name_of('b'))
        return self.scheduler.find_retype_backend(
            self.context, spec, {}, policy).backend_id

    def test_retype_stays_where_the_volume_is(self):
        self.assertEqual(name_of('b'), self.retype('ssd'))

    def test_filter_fails_for_a_retype_that_must_not_migrate(self):
        self.assertRaises(exception.NoValidBackend, self.retype, 'hdd')

    def test_retype_migrates_where_it_may(self):
        self.assertEqual(name_of('c'), self.retype('hdd', 'on-demand'))

    def test_a_group_goes_where_all_its_volumes_can(self):
        self.add_backend(self.manager, 'd', tags='ssd,hdd')
        group_spec = {'group_type': {'group_specs': {}},
                      'volume_properties': {'size': 0},
                      'operation': 'create_group'}
        found = self.scheduler._schedule_generic_group(
            self.context, group_spec,
            [self.spec('ssd', operation='create_group'),
             self.spec('hdd', operation='create_group')], {}, [{}, {}])
        self.assertEqual(name_of('d'), found.obj.backend_id)


class TestReports(fakes.SchedulerTestCase):

    def setUp(self):
        super().setUp()
        self.manager = self.make_manager()

    def names(self, require='ssd', **values):
        return self.candidates(self.manager, self.properties(require,
                                                             **values))

    def test_a_report_counts_at_once(self):
        self.add_backend(self.manager, 'a')
        self.assertEqual([name_of('a')], self.names())
        self.report(self.manager, 'host@a', tags='hdd')
        self.assertEqual([], self.names())
        self.assertEqual([name_of('a')], self.names('hdd'))

    def test_a_service_that_reports_first_and_registers_later(self):
        self.report(self.manager, 'host@a')
        self.assertEqual([], self.names())
        self.database.add('host@a')
        self.assertEqual([name_of('a')], self.names())

    def test_disabled_and_back(self):
        self.add_backend(self.manager, 'a')
        row = self.database.services.pop('host@a')
        self.assertEqual([], self.names())
        self.database.services['host@a'] = row
        self.assertEqual([name_of('a')], self.names())

    def test_a_silent_service_and_why(self):
        self.add_backend(self.manager, 'a')
        self.database.add('host@a', age=100)
        self.assertEqual([], self.names())
        pool = self.manager.board.pools()[0]
        self.assertEqual('its volume service sends no heartbeat',
                         pool.down_reason)
        # Reports of a service without heartbeat bring nothing back.
        self.report(self.manager, 'host@a')
        self.assertEqual([], self.names())

    def test_pools_come_and_go(self):
        self.database.add('host@a')

        def report(*pools):
            self.manager.update_service_capabilities(
                'volume', 'host@a', {'storage_protocol': 'ceph', 'pools': [
                    dict(fakes.caps(fsid=f'fsid-{n}'), pool_name=n)
                    for n in pools]}, None, None)
        report('x', 'y')
        self.assertEqual(['host@a#x', 'host@a#y'], sorted(self.names()))
        report('y')
        self.assertEqual(['host@a#y'], self.names())

    def test_zone_of_a_service_changes(self):
        self.add_backend(self.manager, 'a', zone='one')
        spec = {'availability_zones': ['two']}
        self.assertEqual([], self.names(spec=spec))
        self.database.add('host@a', zone='two')
        self.assertEqual([name_of('a')], self.names(spec=spec))

    def test_members_of_a_cluster_count_together(self):
        for host in ('one@a', 'two@a'):
            self.database.add(host, cluster_name='cluster@a')
            self.database.volumes[f'{host}#pool'] = 10
        self.report(self.manager, 'two@a', 'cluster@a')
        self.assertEqual(['cluster@a#pool'], self.names())
        self.assertEqual(20, self.manager.board.pools()[0].allocated_gb)

    def test_what_the_database_counts_goes_before_what_is_reported(self):
        self.database.volumes[name_of('a')] = 70
        self.add_backend(self.manager, 'a', allocated_capacity_gb=10)
        self.assertEqual(70, self.manager.board.pools()[0].allocated_gb)

    def test_what_is_reported_serves_while_the_database_is_away(self):
        self.database.fails = True
        self.add_backend(self.manager, 'a', allocated_capacity_gb=10)
        self.assertEqual(10, self.manager.board.pools()[0].allocated_gb)

    def test_live_schedulers_are_counted(self):
        self.database.schedulers = [
            self.database.service('one'), self.database.service('two'),
            self.database.service('dead', age=1000)]
        self.assertEqual(2, self.make_manager().board.schedulers)

    def test_is_ready_when_all_live_services_have_reported(self):
        self.database.add('host@a')
        manager = self.make_manager()
        self.assertFalse(manager.has_all_capabilities())
        self.report(manager, 'host@a')
        self.assertTrue(manager.has_all_capabilities())
        self.assertTrue(manager.first_receive_capabilities())


class TestPools(fakes.SchedulerTestCase):

    def setUp(self):
        super().setUp()
        self.manager = self.make_manager()
        self.add_backend(self.manager, 'a')
        self.add_backend(self.manager, 'b', tags='hdd', backend_state='down')

    def pools(self, **filters):
        return {p['name']: p['capabilities'] for p in
                self.manager.get_pools(self.context, filters)}

    def test_lists_capabilities_and_state(self):
        pools = self.pools()
        self.assertEqual({name_of('a'): 'up', name_of('b'): 'down'},
                         {n: c['backend_state'] for n, c in pools.items()})
        self.assertEqual(['hdd'], pools[name_of('b')]['feature_tags'])
        stock = self.make_stock_manager()
        stock.service_states = self.manager.service_states
        for pool in stock.get_pools(self.context):
            self.assertEqual(dict(pool['capabilities']),
                             {k: v for k, v in pools[pool['name']].items()
                              if k in pool['capabilities']})

    def test_loads_are_those_that_it_places_by(self):
        self.add_backend(self.manager, 'c', allocated_capacity_gb=7.0,
                         provisioned_capacity_gb=7.0)
        self.manager.board.consume(name_of('c'), 5)
        caps = self.pools()[name_of('c')]
        counted = self.manager.board.pools([name_of('c')])[0]
        self.assertEqual(5, counted.pending_gb)
        self.assertEqual(
            (counted.allocated_gb + 5, 12),
            (caps['allocated_capacity_gb'], caps['provisioned_capacity_gb']))

    def test_filters(self):
        self.assertEqual([name_of('a')], list(self.pools(name=name_of('a'))))
        self.assertEqual([name_of('b')],
                         list(self.pools(backend_state='down')))
        self.assertEqual([], list(self.pools(storage_protocol='iSCSI')))

    def test_filters_by_type(self):
        self.patch('cinder.volume.volume_types.get_by_name_or_id',
                   lambda context, name: {'extra_specs': {
                       'feature:require': name}, 'qos_specs': None})
        self.assertEqual([name_of('a')], list(self.pools(volume_type='ssd')))
        self.assertEqual([], list(self.pools(volume_type='ssd &')))

    def test_tagged_pools_without_a_service_are_listed_as_down(self):
        self.database.services.clear()
        pools = self.pools()
        self.assertEqual({'down'}, {c['backend_state']
                                    for c in pools.values()})
        self.assertIn('disabled', pools[name_of('a')]['feature_down_reason'])


class TestLaziness(fakes.SchedulerTestCase):

    def filtered(self):
        manager = self.make_manager()
        self.add_backend(manager, 'a')
        found = manager.get_filtered_backends(
            manager.get_all_backend_states(self.context), self.properties())
        return found, manager.get_weighed_backends(found, self.properties())

    def test_with_our_weigher_alone(self):
        for found in self.filtered():
            self.assertIsInstance(found, sequences.LazyList)

    def test_not_where_another_weigher_has_a_say(self):
        self.conf.config(scheduler_default_weighers=[
            'FeatureWeigher', 'CapacityWeigher'])
        self.assertIsInstance(self.filtered()[1], list)

    def test_not_where_a_filter_wants_to_see_all(self):
        self.patch('cinder.scheduler.filters.capacity_filter.CapacityFilter.'
                   'filter_all', lambda each, states, properties:
                   list(states))
        self.assertIsInstance(self.filtered()[0], list)

    def test_services_are_not_read_for_each_request(self):
        self.conf.config(group='feature', service_cache_seconds=1000)
        manager = self.make_manager()
        self.add_backend(manager, 'a')
        before = self.database.reads
        for _ in range(10):
            self.candidates(manager, self.properties())
        self.assertEqual(before, self.database.reads)
