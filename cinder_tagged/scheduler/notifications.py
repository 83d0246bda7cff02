# SPDX-License-Identifier: Apache-2.0
"""Placement decisions as notifications, beside the requests' own way.

A thread sends them from a bounded queue. When the message bus is slower than
the decisions, notifications are dropped and counted; no request waits.
"""

from collections.abc import Callable
import dataclasses
import math
import queue
import threading
from typing import Any

from cinder import rpc
from oslo_log import log as logging

from cinder_tagged import placement
from cinder_tagged.scheduler import asked

LOG = logging.getLogger(__name__)

EVENT = 'feature.placement'
#: Notifications that may wait; some minutes of a busy scheduler.
QUEUE_SIZE = 1000
#: Backends looked at again to say why the chosen one was best.
CONSIDERED = 5
#: Verdicts that one notification carries at most.
MAX_VERDICTS = 50


@dataclasses.dataclass(frozen=True, slots=True)
class _Item:
    context: Any
    payload: Callable[[], dict[str, Any]]


def emit(context: Any, payload: dict[str, Any]) -> None:
    """Send one notification, with the scheduler's own notifier."""
    rpc.get_notifier('scheduler').info(context, EVENT, payload)


class PlacementNotifier:
    """Sends payloads from a thread of its own.

    :param send: called with (context, payload) in the thread
    """

    def __init__(self, send: Callable[[Any, dict[str, Any]], None] = emit,
                 size: int = QUEUE_SIZE):
        self._send = send
        self._queue: queue.Queue[_Item] = queue.Queue(size)
        self._start = threading.Lock()
        self._thread: threading.Thread | None = None
        self.dropped = 0

    def submit(self, context: Any,
               payload: Callable[[], dict[str, Any]]) -> None:
        """Queue one notification; never waits, never raises.

        :param payload: builds the payload, in the sending thread
        """
        try:
            self._queue.put_nowait(_Item(context, payload))
        except queue.Full:
            self.dropped += 1
            if self.dropped % QUEUE_SIZE == 1:
                LOG.warning('Placement notifications are dropped, %d so far: '
                            'the message bus is slower than the decisions',
                            self.dropped)
            return
        if self._thread is None:
            with self._start:
                if self._thread is None:
                    self._thread = threading.Thread(
                        target=self._run, name='feature-notifier',
                        daemon=True)
                    self._thread.start()

    def _run(self) -> None:
        while True:
            item = self._queue.get()
            try:
                self._send(item.context, item.payload())
            # The thread outlives a message bus that is away.
            except Exception as error:
                LOG.warning('Cannot send a placement notification: %s', error)
            finally:
                self._queue.task_done()


def payload(properties: asked.Properties, decision: placement.Decision,
            text: str, chosen: str | None = None,
            matched: int | None = None) -> dict[str, Any]:
    """Return what a notification tells of one decision.

    :param decision: about all backends, or the best ones that matched
    :param chosen: the backend that got the request; None if none did
    :param matched: how many backends have the features
    """
    request = decision.request
    shown = decision.verdicts[:MAX_VERDICTS]
    if matched is None:
        matched = sum(1 for v in decision.verdicts if v.matched)
    reasons = [r for v in shown if v.backend == chosen for r in v.reasons]
    return {
        'request_id': getattr(properties.get('context'), 'request_id', None),
        'operation': asked.operation_of(properties),
        'volume_id': asked.volume_id_of(properties),
        'size_gb': request.size_gb,
        'features': str(request.require) if request.require else None,
        'policy': decision.policy,
        'matched': matched,
        'chosen': chosen,
        'reason': '; '.join(reasons) if chosen else text,
        'considered': [verdict_dict(v) for v in shown],
    }


def verdict_dict(verdict: placement.Verdict) -> dict[str, Any]:
    """Return a verdict as plain values."""
    return {'backend': verdict.backend, 'cluster': verdict.cluster,
            'tags': list(verdict.tags), 'weight': verdict.weight,
            'accepted': verdict.accepted, 'reasons': list(verdict.reasons),
            'load_gb': verdict.load_gb,
            'room_gb': (verdict.room_gb if math.isfinite(verdict.room_gb)
                        else None)}
