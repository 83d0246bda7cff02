# SPDX-License-Identifier: Apache-2.0
"""Made-up clouds for the scheduler benchmark: services, reports, requests.

Everything is Cinder's own but the database and the message bus, which answer
at once, to whoever asks.
"""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import datetime
import random
from typing import Any
from unittest import mock
import uuid

from cinder import context as cinder_context
from cinder import objects

objects.register_all()

from cinder.scheduler import base_handler  # noqa: E402
from cinder.scheduler import filter_scheduler  # noqa: E402
from oslo_config import cfg  # noqa: E402
from oslo_utils import timeutils  # noqa: E402

from cinder_tagged.scheduler import feature_filter  # noqa: E402
from cinder_tagged.scheduler import feature_weigher  # noqa: E402

CONF = cfg.CONF

MEDIA = ('ssd', 'hdd', 'nvme')
AUDIENCES = ('public', 'private', 'tenant-a', 'tenant-b')
PURPOSES = ('prod', 'test', 'db', 'archive', 'analytics')
ZONES = ('az1', 'az2', 'az3')

#: What both sides are configured with. Stock has labels too: a list in the
#: capabilities (``extra_capabilities``), matched by its CapabilitiesFilter.
STOCK = {'scheduler_default_filters':
         ['AvailabilityZoneFilter', 'CapacityFilter', 'CapabilitiesFilter'],
         'scheduler_default_weighers': ['CapacityWeigher'],
         'scheduler_host_manager':
         'cinder.scheduler.host_manager.HostManager'}
OURS = {'scheduler_default_filters':
        ['AvailabilityZoneFilter', 'CapacityFilter', 'CapabilitiesFilter',
         'FeatureFilter'],
        'scheduler_default_weighers': ['FeatureWeigher'],
        'scheduler_host_manager':
        'cinder_tagged.scheduler.host_manager.TaggedHostManager'}


class Cloud:
    """Backends with a realistic spread of tags, about a third of each medium.

    :param backends: how many
    """

    def __init__(self, backends: int):
        self.random = random.Random(backends)
        self.reports = [self._report(n) for n in range(backends)]
        self.zones = [self.random.choice(ZONES) for _ in range(backends)]
        self.rows = objects.ServiceList(
            objects=[self._row(n) for n in range(backends)])

    @staticmethod
    def host(number: int) -> str:
        return f'control@ceph-{number:05d}'

    def _row(self, number: int) -> objects.Service:
        # Its heartbeat lies ahead, so that no benchmark outlives it.
        return objects.Service(
            id=number, host=self.host(number), cluster_name=None,
            binary='cinder-volume', topic='cinder-volume', disabled=False,
            frozen=False, availability_zone=self.zones[number],
            uuid=str(uuid.UUID(int=number)), replication_status='disabled',
            active_backend_id=None, report_count=1,
            updated_at=timeutils.utcnow(with_timezone=True)
            + datetime.timedelta(hours=12))

    def _report(self, number: int) -> dict[str, Any]:
        tags = [self.random.choice(MEDIA), self.random.choice(AUDIENCES),
                self.random.choice(PURPOSES)]
        total = float(self.random.choice((100_000, 200_000, 400_000)))
        held = self.random.randrange(int(total / 2))
        return {
            'volume_backend_name': 'volumes', 'vendor_name': 'Open Source',
            'driver_version': '1.3.0', 'storage_protocol': 'ceph',
            'total_capacity_gb': total, 'free_capacity_gb': total - held / 3,
            'reserved_percentage': 5, 'multiattach': True,
            'thin_provisioning_support': True, 'backend_state': 'up',
            'thick_provisioning_support': False,
            'max_over_subscription_ratio': '20.0',
            'allocated_capacity_gb': held, 'labels': tags,
            'filter_function': None, 'goodness_function': None,
            'feature_tags': tags, 'feature_backend': f'ceph-{number:05d}',
            'feature_weight': float(self.random.choice((1, 1, 2, 3))),
            'feature_fsid': str(uuid.UUID(int=number)),
            'feature_cluster': f'ceph-{number:05d}',
            'feature_pool': 'volumes'}

    def report(self, scheduler: Any, number: int) -> None:
        """Let one backend report."""
        scheduler.update_service_capabilities(
            'volume', self.host(number), dict(self.reports[number]), None,
            timeutils.utcnow())

    @contextlib.contextmanager
    def scheduler(self, settings: dict[str, Any]) -> Iterator[Any]:
        """Run Cinder's FilterScheduler on this cloud, all having reported.

        :param settings: options of ``[DEFAULT]``
        """
        with contextlib.ExitStack() as stack:
            configure(settings)
            CONF.set_override('manage_types', False, group='feature')
            for target, stand_in in self._stand_ins().items():
                stack.enter_context(mock.patch(target, stand_in))
            scheduler = filter_scheduler.FilterScheduler()
            scheduler.settings = settings
            for number in range(len(self.reports)):
                self.report(scheduler, number)
            yield scheduler

    def _stand_ins(self) -> dict[str, Callable[..., Any]]:
        found = base_handler.BaseHandler.get_all_classes
        more = [feature_filter.FeatureFilter, feature_weigher.FeatureWeigher]

        def plugins(handler: Any) -> list[type[Any]]:
            known = found(handler)
            return known + [c for c in more if c not in known
                            and handler._is_correct_class(c)]

        scheduler = objects.ServiceList(objects=[self._row(0)])
        base = 'cinder.scheduler.base_handler.BaseHandler.'
        return {
            base + 'get_all_classes': plugins,
            'cinder.objects.ServiceList.get_all':
                lambda context, filters=None: self.rows,
            'cinder.objects.ServiceList.get_all_by_topic':
                lambda context, topic, disabled=None: scheduler,
            'cinder.db.api.volume_data_get_for_host':
                lambda context, host, count_only=False: (0, 0),
            'cinder.db.api.volume_metadata_update':
                lambda context, volume_id, metadata, delete: metadata,
            'cinder.scheduler.driver.volume_update_db':
                lambda context, volume_id, *args, **kwargs: mock.sentinel.row,
            'cinder.volume.rpcapi.VolumeAPI': Bus,
        }


def configure(settings: dict[str, Any]) -> None:
    """Set what a scheduler reads when it starts, and for each request."""
    for name, value in settings.items():
        CONF.set_override(name, value)


class Bus:
    """Takes the message to the volume service, and forgets it."""

    def create_volume(self, *args: Any, **kwargs: Any) -> None:
        pass


def request(tag: str, size: int = 10,
            **values: Any) -> tuple[objects.RequestSpec, dict[str, Any]]:
    """Return a request for a volume, as the API sends it.

    :param tag: carried by the volume type in both ways: for ours as an
        expression, for stock as a capability to match
    """
    specs = {'feature:require': tag} if not tag.isalnum() else {
        'feature:require': tag, 'capabilities:labels': tag}
    volume_id = str(uuid.uuid4())
    spec = objects.RequestSpec(
        volume_id=volume_id, volume=None, operation='create_volume',
        image_id=None, snapshot_id=None, source_volid=None,
        volume_properties=objects.VolumeProperties(
            size=size, availability_zone=None, metadata={},
            qos_specs=None, user_id='user', project_id='project',
            volume_type_id=str(uuid.UUID(int=1))),
        volume_type=objects.VolumeType(
            id=str(uuid.UUID(int=1)), name=tag, extra_specs=specs,
            is_public=True, qos_specs_id=None),
        **values)
    return spec, {}


def context() -> cinder_context.RequestContext:
    return cinder_context.RequestContext('user', 'project', is_admin=False)
