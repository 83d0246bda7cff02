# SPDX-License-Identifier: Apache-2.0
"""Cinder's volume manager with a journal; set as ``volume_manager``."""

from collections.abc import Callable
import time
from typing import Any

from cinder import context as cinder_context
from cinder import exception
from cinder import objects
from oslo_log import log as logging

from cinder_tagged.resume import claims
from cinder_tagged.resume import database
from cinder_tagged.resume import ledger
from cinder_tagged.resume import secrets
from cinder_tagged.resume import work
from cinder_tagged.resume.core import health
from cinder_tagged.resume.core.decide import State
from cinder_tagged.resume.core.operations import OPERATIONS
from cinder_tagged.resume.incarnation import Life
from cinder_tagged.resume.journal import Entry
from cinder_tagged.resume.resumer import Resumer
from cinder_tagged.volume import manager

LOG = logging.getLogger(__name__)

#: Long enough for each peer to probe the cluster once, seconds.
_HOLD_S = 20.0


class VolumeManager(manager.VolumeManager):
    """Claims what it works on, and takes over what dead peers left."""

    state = State.RUNNING

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self._life: Life | None = None

    @property
    def life(self) -> Life:
        """This process in the journal, from init_host on."""
        if self._life is None:
            raise RuntimeError('the service was not initialised')
        return self._life

    # -- life -----------------------------------------------------------------

    def init_host(self, added_to_cluster: Any = None, **kwargs: Any) -> None:
        secrets.check()
        self._life = Life(database.open_journal(), 'cinder-volume',
                          self.host, self.service_topic_queue,
                          [self.cluster_seen] if hasattr(
                              self.driver, 'cluster_seen') else [])
        # On record before the driver connects: each client of a cluster is
        # written down before it is used.
        self.life.begin()
        super().init_host(added_to_cluster=added_to_cluster, **kwargs)
        access = self._access()
        if access is not None:
            access.hold = self._hold

    def _access(self) -> Any:
        """The driver's way to its cluster; None if it has none, or not yet."""
        try:
            return getattr(self.driver, 'access', None)
        except exception.DriverNotInitialized:
            return None

    def _hold(self) -> None:
        """Wait until it is known whether only this one lost its cluster.

        If so this process ends (see Resumer), and what waits here is done
        by a peer; a request must not fail for that.
        """
        until = time.monotonic() + _HOLD_S
        while time.monotonic() < until and self.cluster_seen().away_since:
            if all(p.sick_at for p in self.life.peers()):
                return
            time.sleep(0.2)

    def _publish_service_capabilities(
            self, context: cinder_context.RequestContext) -> None:
        # What one service says of the backend counts for all that share it:
        # a zombie, one that alone lost the cluster, or that stood still and
        # has not looked at it since, keeps silent.
        if self._life is not None:
            self._life.confirm()
            access = self._access()
            stale = access is not None and access.monitor.stale
            if (stale or self.cluster_seen().away_since) and any(
                    p.sick_at is None for p in self._life.peers()):
                return
        super()._publish_service_capabilities(context)

    def cluster_seen(self) -> health.Seen:
        """Tell since when the cluster is away, and when it last answered."""
        seen = getattr(self.driver, 'cluster_seen', None)
        return health.Seen(*(seen() if seen is not None else (None, None)))

    def init_host_with_rpc(self) -> None:
        super().init_host_with_rpc()
        Resumer(self.life, self).start()

    def _do_cleanup(self, ctxt: Any, vo_resource: Any) -> bool:
        """Leave journalled work to the resumer instead of failing it."""
        if any(e.resource_id == vo_resource.id
               for e in self.life.journal.entries()):
            return True
        return bool(super()._do_cleanup(ctxt, vo_resource))

    # -- doing it again -------------------------------------------------------

    def reach(self, fsid: str, use: Callable[[Any], Any]) -> None:
        self.driver.use_cluster(fsid, use)

    def redo(self, entry: Entry, resource: Any) -> None:
        operation = OPERATIONS[entry.method]
        ctxt = work.context_of(entry)
        arguments = work.arguments_of(entry, ctxt)
        if entry.owner is not None or entry.attempts:
            work.clear_leftovers(operation, resource, self.driver)
        work.reset(operation, resource)
        if operation.resource in arguments:
            arguments[operation.resource] = resource
        resource._context = ctxt.elevated()
        try:
            with ledger.entry(entry.id):
                getattr(self, f'_redo_{entry.method}', self._redo_same)(
                    entry, ctxt, arguments)
        finally:
            self._settle(entry.id,
                         claims.unfinished(operation, resource.id))

    def _redo_same(self, entry: Entry, ctxt: Any,
                   arguments: dict[str, Any]) -> None:
        getattr(super(), entry.method)(ctxt, **arguments)

    def _redo_create_volume(self, entry: Entry, ctxt: Any,
                            arguments: dict[str, Any]) -> None:
        super().create_volume(
            ctxt, arguments['volume'],
            request_spec=arguments['request_spec'],
            filter_properties=dict(arguments['filter_properties'] or {}))

    def _redo_create_snapshot(self, entry: Entry, ctxt: Any,
                              arguments: dict[str, Any]) -> None:
        super().create_snapshot(ctxt, arguments['snapshot'])

    def _redo_extend_volume(self, entry: Entry, ctxt: Any,
                            arguments: dict[str, Any]) -> None:
        super().extend_volume(ctxt, arguments['volume'],
                              arguments['new_size'],
                              arguments['reservations'])

    def _redo_retype(self, entry: Entry, ctxt: Any,
                     arguments: dict[str, Any]) -> None:
        learnt = dict(entry.message.get('learnt') or {})
        if learnt:
            super().retype(ctxt, arguments['volume'], *learnt.pop('args'),
                           **learnt)
        # No service had begun: it is settled as one to schedule again.

    def _settle(self, entry: int,
                unfinished: claims.Unfinished | None) -> None:
        if unfinished is not None:
            # Cinder sends it to another backend, by way of the scheduler.
            self.life.journal.put_back(entry, self.life.id)
        else:
            self.life.journal.close(entry, self.life.id)

    # -- messages -------------------------------------------------------------

    def _claimed(self, context: cinder_context.RequestContext, method: str,
                 resource_id: str, run: Callable[[], Any],
                 learnt: dict[str, Any] | None = None) -> Any:
        if self._life is None or ledger.current() is not None:
            return run()  # part of a larger piece of work, or before the start
        if (self._life.sick_at and self._life.sound_peers()
                and self._life.journal.offer(method, resource_id,
                                             context.request_id)):
            LOG.warning('%s of %s is left to another service: %s', method,
                        resource_id, 'this one misses its cluster or the bus')
            return None
        return claims.run(self._life, method, resource_id,
                          context.request_id, self.state, run, self._settle,
                          learnt)

    def create_volume(self, context: cinder_context.RequestContext,
                      volume: objects.Volume, *args: Any,
                      **kwargs: Any) -> Any:
        parent = super()
        return self._claimed(
            context, 'create_volume', volume.id,
            lambda: parent.create_volume(context, volume, *args, **kwargs))

    def delete_volume(self, context: cinder_context.RequestContext,
                      volume: objects.Volume, *args: Any,
                      **kwargs: Any) -> Any:
        parent = super()
        return self._claimed(
            context, 'delete_volume', volume.id,
            lambda: parent.delete_volume(context, volume, *args, **kwargs))

    def create_snapshot(self, context: cinder_context.RequestContext,
                        snapshot: objects.Snapshot) -> Any:
        parent = super()
        return self._claimed(
            context, 'create_snapshot', snapshot.id,
            lambda: parent.create_snapshot(context, snapshot))

    def delete_snapshot(self, context: cinder_context.RequestContext,
                        snapshot: objects.Snapshot, *args: Any,
                        **kwargs: Any) -> Any:
        parent = super()
        return self._claimed(
            context, 'delete_snapshot', snapshot.id,
            lambda: parent.delete_snapshot(context, snapshot, *args,
                                           **kwargs))

    def extend_volume(self, context: cinder_context.RequestContext,
                      volume: objects.Volume, *args: Any,
                      **kwargs: Any) -> Any:
        parent = super()
        return self._claimed(
            context, 'extend_volume', volume.id,
            lambda: parent.extend_volume(context, volume, *args, **kwargs))

    def copy_volume_to_image(self, context: cinder_context.RequestContext,
                             volume_id: str, *args: Any,
                             **kwargs: Any) -> Any:
        parent = super()
        return self._claimed(
            context, 'copy_volume_to_image', volume_id,
            lambda: parent.copy_volume_to_image(context, volume_id, *args,
                                                **kwargs))

    def retype(self, context: cinder_context.RequestContext,
               volume: objects.Volume, *args: Any, **kwargs: Any) -> Any:
        parent = super()
        # The destination: a move that is half done goes on to the same one.
        return self._claimed(
            context, 'retype', volume.id,
            lambda: parent.retype(context, volume, *args, **kwargs),
            learnt={'args': args, **kwargs})
