# SPDX-License-Identifier: Apache-2.0
"""Cinder's scheduler manager with a journal; set as ``scheduler_manager``."""

from collections.abc import Callable
from typing import Any

from cinder.objects import base as objects_base
from cinder.scheduler import manager
from cinder.volume import volume_utils

from cinder_tagged.resume import claims
from cinder_tagged.resume import database
from cinder_tagged.resume import secrets
from cinder_tagged.resume import work
from cinder_tagged.resume.core.decide import State
from cinder_tagged.resume.core.operations import OPERATIONS
from cinder_tagged.resume.incarnation import Life
from cinder_tagged.resume.journal import Entry
from cinder_tagged.resume.resumer import Resumer


def _queue(service: str) -> str:
    """Return the queue of the services that a volume belongs to."""
    return str(volume_utils.extract_host(service))


class SchedulerManager(manager.SchedulerManager):
    """Claims what it schedules, and schedules what dead peers left."""

    state = State.SCHEDULING

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self._life: Life | None = None

    @property
    def life(self) -> Life:
        """This process in the journal, from init_host on."""
        if self._life is None:
            raise RuntimeError('the service was not initialised')
        return self._life

    def init_host_with_rpc(self) -> None:
        secrets.check()
        self._life = Life(database.open_journal(), 'cinder-scheduler',
                          self.host, None)
        self.life.begin()
        super().init_host_with_rpc()
        Resumer(self.life, self).start()

    def reach(self, fsid: str, use: Callable[[Any], Any]) -> None:
        raise LookupError(fsid)

    def redo(self, entry: Entry, resource: Any) -> None:
        """Schedule it again, or leave it to the queue it was sent to."""
        volume = getattr(resource, 'volume', resource)
        if volume.host and entry.method != 'retype':
            # Chosen before: the cast may have been lost, the choice stands.
            self.life.journal.put_back(
                entry.id, self.life.id, _queue(volume.service_topic_queue),
                at_once=True)
            return
        ctxt = work.context_of(entry)
        arguments = work.arguments_of(entry, ctxt)
        operation = OPERATIONS[entry.method]
        work.reset(operation, resource)
        arguments[operation.resource] = resource
        getattr(super(), entry.method)(ctxt, **arguments)
        self._settle(entry.id, claims.unfinished(operation, resource.id))

    def _settle(self, entry: int,
                unfinished: claims.Unfinished | None) -> None:
        """Close the entry, or pass it to the queue that was cast to."""
        if unfinished is None:
            self.life.journal.close(entry, self.life.id)
            return
        if unfinished.service:
            self.life.journal.hand_on(entry, self.life.id,
                                      _queue(unfinished.service))
        else:
            self.life.journal.put_back(entry, self.life.id)

    def _claimed(self, context: Any, method: str,
                 resource: objects_base.CinderObject,
                 run: Callable[[], Any]) -> Any:
        if self._life is None:
            return run()
        return claims.run(self.life, method, resource.id, context.request_id,
                          self.state, run, self._settle)

    def create_volume(self, context: Any, volume: Any, *args: Any,
                      **kwargs: Any) -> Any:
        parent = super()
        return self._claimed(
            context, 'create_volume', volume,
            lambda: parent.create_volume(context, volume, *args, **kwargs))

    def create_snapshot(self, ctxt: Any, volume: Any, snapshot: Any,
                        *args: Any, **kwargs: Any) -> Any:
        parent = super()
        return self._claimed(
            ctxt, 'create_snapshot', snapshot,
            lambda: parent.create_snapshot(ctxt, volume, snapshot, *args,
                                           **kwargs))

    def extend_volume(self, context: Any, volume: Any, *args: Any,
                      **kwargs: Any) -> Any:
        parent = super()
        return self._claimed(
            context, 'extend_volume', volume,
            lambda: parent.extend_volume(context, volume, *args, **kwargs))

    def retype(self, context: Any, volume: Any, *args: Any,
               **kwargs: Any) -> Any:
        parent = super()
        return self._claimed(
            context, 'retype', volume,
            lambda: parent.retype(context, volume, *args, **kwargs))
