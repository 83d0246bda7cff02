# SPDX-License-Identifier: Apache-2.0
"""A scheduler without its database and bus; all else is Cinder's own."""

import datetime
import logging
from unittest import mock

from cinder import context as cinder_context
from cinder import objects
from cinder.scheduler import base_handler
from cinder.scheduler import filter_scheduler
from cinder.scheduler import host_manager as stock
import fixtures
from oslo_config import cfg
from oslo_config import fixture as config_fixture
from oslo_utils import timeutils
from oslotest import base

from cinder_tagged.scheduler import feature_filter
from cinder_tagged.scheduler import feature_weigher
from cinder_tagged.scheduler import host_manager

CONF = cfg.CONF

FILTERS = ['AvailabilityZoneFilter', 'CapacityFilter', 'CapabilitiesFilter',
           'FeatureFilter']
VOLUME_ID = '6f0b2f8e-6d0f-4f0a-9c39-0f6f1b1f6a01'


class Database:
    """What the scheduler asks the database, answered from tables."""

    def __init__(self):
        self.services = {}
        self.schedulers = [self.service('control')]
        self.volumes = {}
        self.metadata = {}
        self.reads = 0
        self.fails = False
        #: of each volume that is placed
        self.size = 0

    @staticmethod
    def service(host, cluster_name=None, zone='nova', age=0):
        return objects.Service(
            host=host, cluster_name=cluster_name, availability_zone=zone,
            uuid='4d1e2f6a-2f54-4d8e-8d4f-3c5a50f0a7aa', disabled=False,
            frozen=False, replication_status='disabled',
            active_backend_id=None, binary='cinder-volume',
            updated_at=timeutils.utcnow(with_timezone=True)
            - datetime.timedelta(seconds=age))

    def add(self, host, **values):
        self.services[host] = self.service(host, **values)

    def get_all(self, context, filters=None):
        self.reads += 1
        return objects.ServiceList(objects=list(self.services.values()))

    def get_all_by_topic(self, context, topic, disabled=None):
        return objects.ServiceList(objects=self.schedulers)

    def count(self, context, host, count_only=False):
        if self.fails:
            raise RuntimeError('the database is away')
        return (0, self.volumes.get(host, 0))

    def update_metadata(self, context, volume_id, metadata, delete):
        if self.fails:
            raise RuntimeError('the database is away')
        self.metadata[volume_id] = metadata

    def update_volume(self, context, volume_id, host, cluster_name,
                      availability_zone=None, volume=None):
        self.volumes[host] = self.volumes.get(host, 0) + self.size
        return mock.Mock(id=volume_id, host=host)


def caps(tags='ssd', fsid=None, **values):
    """Return a report of a backend without a list of pools."""
    values.setdefault('volume_backend_name', 'pool')
    values.setdefault('total_capacity_gb', 1000.0)
    values.setdefault('free_capacity_gb', values['total_capacity_gb'])
    values.setdefault('allocated_capacity_gb', 0)
    values.setdefault('reserved_percentage', 0)
    values.setdefault('thin_provisioning_support', True)
    values.setdefault('max_over_subscription_ratio', 20.0)
    values.setdefault('storage_protocol', 'ceph')
    if tags:
        values.update(feature_tags=tags.split(','),
                      feature_weight=values.pop('weight', 1.0),
                      feature_fsid=fsid or '', feature_cluster='c',
                      feature_pool='vols')
    return values


class SchedulerTestCase(base.BaseTestCase):
    """Has a database, and makes host managers and schedulers on it."""

    def setUp(self):
        super().setUp()
        self.useFixture(fixtures.FakeLogger(level=logging.WARNING))
        self.conf = self.useFixture(config_fixture.Config(CONF))
        self.conf.config(scheduler_default_filters=FILTERS,
                         scheduler_default_weighers=['FeatureWeigher'])
        self.conf.config(group='feature', manage_types=False,
                         service_cache_seconds=0)
        self.context = cinder_context.get_admin_context()
        self.database = Database()
        for target, stand_in in [
                ('cinder.objects.ServiceList.get_all', self.database.get_all),
                ('cinder.objects.ServiceList.get_all_by_topic',
                 self.database.get_all_by_topic),
                ('cinder.db.api.volume_data_get_for_host',
                 self.database.count),
                ('cinder.db.api.volume_metadata_update',
                 self.database.update_metadata),
                ('cinder.scheduler.driver.volume_update_db',
                 self.database.update_volume)]:
            self.patch(target, stand_in)
        self._register_plugins()

    def patch(self, target, stand_in):
        patcher = mock.patch(target, stand_in)
        self.addCleanup(patcher.stop)
        return patcher.start()

    def _register_plugins(self):
        """Offer filter and weigher, also where nothing is installed."""
        found = base_handler.BaseHandler.get_all_classes

        def get_all_classes(handler):
            more = [feature_filter.FeatureFilter,
                    feature_weigher.FeatureWeigher]
            return found(handler) + [
                cls for cls in more if handler._is_correct_class(cls)
                and cls not in found(handler)]

        self.patch('cinder.scheduler.base_handler.BaseHandler.'
                   'get_all_classes', get_all_classes)

    def make_manager(self, cls=host_manager.TaggedHostManager):
        return cls()

    def make_stock_manager(self):
        return self.make_manager(stock.HostManager)

    def make_scheduler(self, manager=None):
        self.patch('cinder.volume.rpcapi.VolumeAPI', mock.Mock())
        self.conf.config(scheduler_host_manager=(
            'cinder.scheduler.host_manager.HostManager'))
        scheduler = filter_scheduler.FilterScheduler()
        scheduler.host_manager = manager or self.make_manager()
        return scheduler

    def report(self, manager, host, cluster_name=None, timestamp=None,
               **values):
        manager.update_service_capabilities(
            'volume', host, caps(**values), cluster_name, timestamp)

    def add_backend(self, manager, name, zone='nova', cluster_name=None,
                    **values):
        self.database.add(f'host@{name}', zone=zone,
                          cluster_name=cluster_name)
        values.setdefault('fsid', f'fsid-{name}')
        self.report(manager, f'host@{name}', cluster_name, **values)

    @staticmethod
    def spec(require='ssd', size=1, operation=None, **values):
        """Return a request spec; Cinder notes no operation for creation."""
        spec = {'volume_id': VOLUME_ID, 'operation': operation,
                'volume_properties': {'size': size},
                'resource_properties': {'size': size},
                'volume_type': {
                    'name': 'type', 'extra_specs':
                    {'feature:require': require} if require else {}}}
        spec.update(values)
        return spec

    def properties(self, require='ssd', size=1, **values):
        """Return filter properties as the scheduler fills them in."""
        spec = self.spec(require, size, **values.pop('spec', {}))
        filled = {'context': self.context, 'size': size,
                  'request_spec': spec, 'volume_type': spec['volume_type'],
                  'resource_type': spec['volume_type']}
        filled.update(values)
        return filled

    def candidates(self, manager, properties):
        """Return the names of candidates, best first."""
        found = manager.get_filtered_backends(
            manager.get_all_backend_states(self.context), properties)
        weighed = manager.get_weighed_backends(found, properties)
        return [w.obj.backend_id for w in weighed]
