# SPDX-License-Identifier: Apache-2.0
"""Which volume services may take requests, looked up every few seconds."""

from collections.abc import Callable
import dataclasses
import threading
import time
from typing import Any

from cinder import context as cinder_context
from cinder import objects
from cinder.common import constants
from oslo_config import cfg
from oslo_log import log as logging

LOG = logging.getLogger(__name__)
CONF = cfg.CONF

#: The interval grows to so many times what reading the table takes.
READ_SHARE = 10
MAX_INTERVAL = 15.0
#: How often schedulers are counted, in seconds.
COUNT_INTERVAL = 10.0

#: What of a record other parts of Cinder read; a change is passed on.
_WATCHED = ('uuid', 'availability_zone', 'replication_status',
            'active_backend_id')


@dataclasses.dataclass(frozen=True, slots=True)
class Serving:
    """A volume service that may take requests; of a cluster, its members.

    :param host: the first live member
    :param members: all hosts, live or not
    :param record: the live member's row of the table
    :param mark: what a change of the record is recognised by
    """

    host: str
    cluster_name: str | None
    members: tuple[str, ...]
    record: Any
    mark: tuple[Any, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Snapshot:
    """The table at one moment.

    :param serving: by backend key, which is the cluster's name or the host
    :param silent: backend keys without a live member
    """

    serving: dict[str, Serving]
    silent: frozenset[str]


def read(context: cinder_context.RequestContext) -> Snapshot:
    """Read the volume services that are enabled and not frozen."""
    rows = objects.ServiceList.get_all(
        context, {'topic': constants.VOLUME_TOPIC, 'disabled': False,
                  'frozen': False})
    members: dict[str, list[str]] = {}
    live: dict[str, Any] = {}
    for row in rows.objects:
        key = row.service_topic_queue
        members.setdefault(key, []).append(row.host)
        if key not in live and row.is_up:
            live[key] = row
    return Snapshot(
        {key: Serving(row.host, row.cluster_name, tuple(members[key]), row,
                      tuple(getattr(row, name) for name in _WATCHED))
         for key, row in live.items()},
        frozenset(members.keys() - live.keys()))


def count_schedulers(context: cinder_context.RequestContext) -> int:
    """Return how many schedulers are alive; at least 1."""
    rows = objects.ServiceList.get_all_by_topic(context,
                                                constants.SCHEDULER_TOPIC)
    return max(1, sum(1 for row in rows if row.is_up))


class ServiceWatch:
    """Decides when to read, so that one thread reads and others go on.

    :param apply: called with each snapshot, and the number of schedulers
        where that was counted too
    """

    def __init__(self, apply: Callable[[Snapshot, int | None], None],
                 clock: Callable[[], float] = time.monotonic):
        self._apply = apply
        self._clock = clock
        self._reading = threading.Lock()
        self._next_read = self._next_count = float('-inf')
        self._usable = False

    def expire(self) -> None:
        """Read again at the next request."""
        self._next_read = float('-inf')

    def refresh(self, context: cinder_context.RequestContext) -> None:
        """Read the table if it is time to."""
        if self._clock() < self._next_read:
            return
        # While one thread reads, others use what was read before.
        if not self._reading.acquire(blocking=not self._usable):
            return
        try:
            if self._clock() >= self._next_read:
                self._read(context)
        finally:
            self._reading.release()

    def _read(self, context: cinder_context.RequestContext) -> None:
        start = self._clock()
        interval = CONF.feature.service_cache_seconds
        # Set first: a report that asks for a new look while this one is
        # under way is not forgotten.
        self._next_read = start + interval
        snapshot = read(context)
        schedulers = None
        if start >= self._next_count:
            schedulers = count_schedulers(context)
            self._next_count = start + COUNT_INTERVAL
        took = self._clock() - start
        if interval and self._next_read > float('-inf'):
            self._next_read = self._clock() + max(
                interval, min(READ_SHARE * took, MAX_INTERVAL))
        self._apply(snapshot, schedulers)
        self._usable = True
