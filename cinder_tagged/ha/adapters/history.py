# SPDX-License-Identifier: Apache-2.0
"""What was decided and why: log, history file, notifications.

Adding never blocks: a thread writes, and each sink has one of its own, so a
bus that hangs holds up neither decisions nor the file.
"""

from collections.abc import Callable
from collections.abc import Mapping
import contextlib
import json
import os
import queue
import threading
import time
from typing import Any

from oslo_log import log as logging

LOG = logging.getLogger(__name__)

#: The history is cut to half when it grows beyond this many bytes.
LIMIT = 4 * 1024 * 1024
#: Events that wait for a slow sink; later ones are dropped.
WAITING = 1000
#: Events that somebody should look at.
ALARMS = frozenset({'conflict', 'lapsed', 'refused', 'service_failed',
                    'reconfigure_failed', 'peer_dead',
                    'peer_death_failed', 'paused', 'rolled_back'})

Sink = Callable[[str, dict[str, Any]], None]


class History:
    """An append-only file of JSON lines."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.counts: dict[str, int] = {}
        #: The newest entry of each event, at once; the file follows.
        self.newest: dict[str, dict[str, Any]] = {}
        self._waiting: list[queue.Queue[dict[str, Any]]] = []
        self._queue: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        threading.Thread(target=self._write, daemon=True,
                         name='history').start()

    def attach(self, sink: Sink) -> None:
        """Also tell ``sink`` (event, entry), in a thread of its own."""
        waiting: queue.Queue[dict[str, Any]] = queue.Queue(WAITING)
        self._waiting.append(waiting)
        threading.Thread(target=self._pass_on, args=(sink, waiting),
                         daemon=True, name='notify').start()

    @staticmethod
    def _pass_on(sink: Sink, waiting: queue.Queue[dict[str, Any]]) -> None:
        while True:
            entry = waiting.get()
            try:
                sink(entry['event'], entry)
            except Exception:
                LOG.exception('An event was not passed on')

    def add(self, event: str, role: str, detail: Mapping[str, Any]) -> None:
        """Keep one event."""
        entry = {'time': round(time.time(), 4), 'event': event,
                 'role': role, **detail}
        self.counts[event] = self.counts.get(event, 0) + 1
        self.newest[event] = entry
        self._queue.put(entry)

    def _write(self) -> None:
        while True:
            entry = self._queue.get()
            level = LOG.warning if entry['event'] in ALARMS else LOG.info
            level('%s %s %s', entry['event'], entry['role'], json.dumps(
                {k: v for k, v in entry.items()
                 if k not in ('event', 'role', 'time')}, sort_keys=True))
            with contextlib.suppress(OSError):
                self._append(json.dumps(entry))
            for waiting in self._waiting:
                try:
                    waiting.put_nowait(entry)
                except queue.Full:
                    LOG.warning('The bus is slow: %s is not passed on',
                                entry['event'])

    def _append(self, line: str) -> None:
        with open(self.path, 'a') as target:
            target.write(line + '\n')
            size = target.tell()
        if size > LIMIT:
            kept = self.last(10 ** 9)
            with open(self.path + '.new', 'w') as target:
                target.writelines(json.dumps(e) + '\n'
                                  for e in kept[len(kept) // 2:])
            os.replace(self.path + '.new', self.path)

    def last(self, count: int) -> list[dict[str, Any]]:
        """Return the newest entries, oldest first."""
        return read(self.path)[-count:]


def read(path: str) -> list[dict[str, Any]]:
    """All entries of a history file; a torn last line is skipped."""
    entries = []
    try:
        with open(path) as source:
            for line in source:
                with contextlib.suppress(ValueError):
                    entries.append(json.loads(line))
    except FileNotFoundError:
        pass
    return entries


def bus(transport_url_conf: Any, node: str) -> Sink:
    """A sink that sends oslo.messaging notifications."""
    import oslo_messaging
    transport = oslo_messaging.get_notification_transport(transport_url_conf)
    notifier = oslo_messaging.Notifier(
        transport, publisher_id=f'ha.{node}', driver='messagingv2',
        topics=['notifications'], retry=0)

    def send(event: str, entry: dict[str, Any]) -> None:
        call = notifier.warn if event in ALARMS else notifier.info
        call({}, f'ha.{event}', entry)
    return send
