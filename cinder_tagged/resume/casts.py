# SPDX-License-Identifier: Apache-2.0
"""Journal what Cinder's API casts, before it is sent.

Cinder's RPC clients make a call context and cast on it. The two classes here
stand in their place in the volume API and hand out contexts that write the
message down first; nothing else about them changes.
"""

from typing import Any

from cinder.scheduler import rpcapi as scheduler_rpcapi
from cinder.volume import rpcapi as volume_rpcapi
from cinder.volume import volume_utils

from cinder_tagged.resume import secrets
from cinder_tagged.resume.core.operations import OPERATIONS
from cinder_tagged.resume.journal import Journal


class _JournalledContext:
    """A call context whose casts of known operations are written down."""

    def __init__(self, inner: Any, journal: Journal, queue: str | None):
        self._inner = inner
        self._journal = journal
        self._queue = queue

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def cast(self, ctxt: Any, method: str, **arguments: Any) -> None:
        operation = OPERATIONS.get(method)
        if operation is None:
            return self._inner.cast(ctxt, method, **arguments)
        serializer = self._inner.serializer
        context = serializer.serialize_context(ctxt)
        token = secrets.seal(context.pop('auth_token', None))
        # Once for the journal and the bus: what is a primitive stays one.
        primitives = {name: serializer.serialize_entity(ctxt, value)
                      for name, value in arguments.items()}
        entry = self._journal.open(
            method, _resource_id(operation.resource, arguments),
            str(ctxt.request_id),
            {'context': context, 'arguments': primitives}, token,
            self._queue)
        try:
            self._inner.cast(ctxt, method, **primitives)
        except Exception:
            # The API reports the failure to the client: nothing to resume.
            self._journal.close(entry, None)
            raise


def _resource_id(resource: str, arguments: dict[str, Any]) -> str:
    if resource in arguments:
        return str(arguments[resource].id)
    return str(arguments[f'{resource}_id'])


class SchedulerAPI(scheduler_rpcapi.SchedulerAPI):
    """Cinder's client of the scheduler, with a journal."""

    def __init__(self, journal: Journal):
        super().__init__()
        self._journal = journal

    def _get_cctxt(self, *args: Any, **kwargs: Any) -> Any:
        return _JournalledContext(super()._get_cctxt(*args, **kwargs),
                                  self._journal, None)


class VolumeAPI(volume_rpcapi.VolumeAPI):
    """Cinder's client of the volume services, with a journal."""

    def __init__(self, journal: Journal):
        super().__init__()
        self._journal = journal

    def _get_cctxt(self, host: str | None = None, *args: Any,
                   **kwargs: Any) -> Any:
        queue = volume_utils.extract_host(host) if host else None
        return _JournalledContext(super()._get_cctxt(host, *args, **kwargs),
                                  self._journal, queue)
