# SPDX-License-Identifier: Apache-2.0
"""The data that control needs, on every node (C6).

etcd holds the master copy.  Every agent mirrors it to its state directory,
verifies each file by its digest and acknowledges the revision; a write
counts once every node that is heard has acknowledged it.  A node that was
away is not eligible until its mirror has caught up.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import hashlib
import json
import os
import sys
import threading
import time
from typing import Any
from typing import TYPE_CHECKING
import urllib.parse

from oslo_log import log as logging

from cinder_tagged.ha.adapters import etcd
from cinder_tagged.ha.adapters import pointing
from cinder_tagged.ha.core import observe
from cinder_tagged.ha.core import state as st

if TYPE_CHECKING:
    from cinder_tagged.ha import agent as agents

LOG = logging.getLogger(__name__)

#: etcd refuses requests beyond 1.5 MB.
LARGEST = 512 * 1024
#: Deadline (s) of one request for data.
REQUEST = 3.0


class DataError(Exception):
    """Replicated data could not be read or written; the text says why."""


@dataclasses.dataclass(frozen=True)
class Entry:
    """One piece of data and where it comes from."""

    name: str
    content: bytes
    mode: int
    by: str
    epoch: int
    revision: int = 0

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


def total_digest(entries: dict[str, Entry]) -> str:
    """One digest over names and digests of all entries."""
    return hashlib.sha256(json.dumps(
        [(name, entries[name].digest) for name in sorted(entries)]
    ).encode()).hexdigest()


class Store:
    """The master copy."""

    def __init__(self, client: etcd.Etcd) -> None:
        self._etcd = client
        self._files = f'{client.access.prefix}/data/files/'
        self._acks = f'{client.access.prefix}/data/acks/'

    def _range(self, prefix: str) -> list[dict[str, str]]:
        end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
        raw = self._etcd.call({'success': [{'request_range': {
            'key': etcd.b64(prefix), 'range_end': etcd.b64(end)}}]}, REQUEST)
        found: list[dict[str, str]] = (
            raw['responses'][0]['response_range'].get('kvs', []))
        return found

    def entries(self) -> dict[str, Entry]:
        """All data; :raises DataError: if a digest does not fit."""
        found = {}
        for kv in self._range(self._files):
            fields = json.loads(base64.b64decode(kv['value']))
            entry = Entry(
                fields['name'], base64.b64decode(fields['content']),
                fields['mode'], fields['by'], fields['epoch'],
                int(kv['mod_revision']))
            if entry.digest != fields['sha256']:
                raise DataError(f'{entry.name} in etcd does not fit its '
                                'digest; put it again')
            found[entry.name] = entry
        return found

    def put(self, entry: Entry) -> int:
        """Replace the revision that ``entry`` names; returns the new one.

        :raises DataError: if it is too large, or was changed meanwhile
        """
        if len(entry.content) > LARGEST:
            raise DataError(f'{entry.name} has {len(entry.content)} bytes; '
                            f'{LARGEST} are the most')
        key = etcd.b64(self._files + urllib.parse.quote(entry.name, ''))
        value = json.dumps({
            'name': entry.name, 'mode': entry.mode, 'by': entry.by,
            'epoch': entry.epoch, 'sha256': entry.digest,
            'content': base64.b64encode(entry.content).decode()})
        raw = self._etcd.call({
            'compare': [{'key': key, 'target': 'MOD', 'result': 'EQUAL',
                         'mod_revision': entry.revision}],
            'success': [{'request_put': {
                'key': key, 'value': etcd.b64(value)}}]}, REQUEST)
        if not raw.get('succeeded'):
            raise DataError(f'{entry.name} was changed by somebody else '
                            'meanwhile; look at it and try again')
        return int(raw['header']['revision'])

    def acknowledge(self, node: str, revision: int, digest: str) -> None:
        """Say that ``node`` has all data up to ``revision``."""
        self._etcd.call({'success': [{'request_put': {
            'key': etcd.b64(self._acks + node), 'value': etcd.b64(
                json.dumps({'revision': revision, 'digest': digest}))}}]},
            REQUEST)

    def acks(self) -> dict[str, dict[str, Any]]:
        """What each node has."""
        return {base64.b64decode(kv['key']).decode()[len(self._acks):]:
                json.loads(base64.b64decode(kv['value']))
                for kv in self._range(self._acks)}


class Mirror(threading.Thread):
    """Keeps this node's copy, and offers the holder's files."""

    def __init__(self, agent: agents.Agent) -> None:
        super().__init__(daemon=True, name='mirror')
        self._agent = agent
        self._store = Store(agent.effects.etcd)
        self._directory = os.path.join(agent.conf.ha.state_dir, 'data')
        self._files: list[str] = agent.conf.ha_data.files
        self._acked: tuple[int, str] | None = None
        os.makedirs(self._directory, mode=0o700, exist_ok=True)

    def run(self) -> None:
        while not self._agent.ended:
            self._agent.effects.resync.clear()
            try:
                self.once()
            except (etcd.EtcdError, DataError, OSError, ValueError,
                    KeyError) as exc:
                LOG.warning('Replicated data is not in sync: %s', exc)
                self._acked = None
                self._agent.feed(observe.Data(
                    self._agent.engine.node.data, False))
            self._agent.effects.resync.wait(self._agent.conf.ha_data.period)

    def once(self) -> None:
        """Offer what changed here if this node controls, then copy."""
        entries = self._store.entries()
        role = self._agent.engine.node.roles[self._agent.conf.ha.roles[0]]
        if role.opened and role.phase is st.Phase.HOLDING:
            if self._offer(entries, role.epoch):
                entries = self._store.entries()
        else:
            self._take(entries)
        revision = self._copy(entries)
        state = (revision, total_digest(entries))
        if state != self._acked:
            self._store.acknowledge(self._agent.name, *state)
            self._acked = state
        self._agent.feed(observe.Data(revision, True))

    def _offer(self, entries: dict[str, Entry], epoch: int) -> bool:
        changed = False
        for path in self._files:
            with contextlib.suppress(FileNotFoundError):
                with open(path, 'rb') as source:
                    content = source.read()
                    mode = os.fstat(source.fileno()).st_mode & 0o777
                old = entries.get(path)
                if old is not None and old.epoch > epoch:
                    continue
                if old is None or (old.content, old.mode) != (content, mode):
                    self._store.put(Entry(
                        path, content, mode, self._agent.name, epoch,
                        old.revision if old else 0))
                    LOG.info('Replicating %s (%d bytes)', path, len(content))
                    changed = True
        return changed

    def _take(self, entries: dict[str, Entry]) -> None:
        for path in self._files:
            entry = entries.get(path)
            if entry is not None and pointing.write(
                    path, entry.content, entry.mode):
                LOG.info('Took %s from %s', path, entry.by)

    def _copy(self, entries: dict[str, Entry]) -> int:
        wanted = {urllib.parse.quote(name, ''): entry
                  for name, entry in entries.items()}
        for name, entry in wanted.items():
            pointing.write(os.path.join(self._directory, name),
                           entry.content, 0o600)
        for name in set(os.listdir(self._directory)) - wanted.keys():
            os.unlink(os.path.join(self._directory, name))
        return max((e.revision for e in entries.values()), default=0)


def put_everywhere(store: Store, entry: Entry, live: set[str],
                   wait: float) -> dict[str, Any]:
    """Put, and wait until each node of ``live`` has it.

    :raises DataError: naming those that have not within ``wait`` s
    """
    old = store.entries().get(entry.name)
    entry = dataclasses.replace(entry, revision=old.revision if old else 0)
    revision = store.put(entry)
    begin = time.monotonic()
    while True:
        have = {node for node, ack in store.acks().items()
                if ack['revision'] >= revision}
        if live <= have:
            return {'name': entry.name, 'revision': revision,
                    'sha256': entry.digest, 'nodes': sorted(have)}
        if time.monotonic() > begin + wait:
            raise DataError(
                f'{entry.name} does not count as written: after {wait:g} s '
                'it is not on ' + ', '.join(sorted(live - have)))
        time.sleep(0.1)


def command(conf: Any, arguments: Any) -> int:
    """cinder-tagged-ha data list|get|put."""
    from cinder_tagged.ha import control
    from cinder_tagged.ha import parts
    from cinder_tagged.ha import status as statuses
    client = etcd.Etcd(parts.access(conf), REQUEST)
    store = Store(client)
    try:
        if arguments.action == 'list':
            for name, entry in sorted(store.entries().items()):
                print(f'{entry.digest[:12]} {len(entry.content):8} '
                      f'{entry.by:12} {name}')
            return 0
        if not arguments.name:
            raise DataError('give the name of the data')
        if arguments.action == 'get':
            found = store.entries().get(arguments.name)
            if found is None:
                raise DataError(f'there is no data {arguments.name}')
            sys.stdout.buffer.write(found.content)
            return 0
        if arguments.file in (None, '-'):
            content = sys.stdin.buffer.read()
        else:
            with open(arguments.file, 'rb') as source:
                content = source.read()
        status = control.ask(conf.ha.control_socket, {'verb': 'status'}, 5)
        live = {name for name, state in status['members'].items()
                if state in ('live', 'self')}
        epoch = max(r['epoch'] for r in status['roles'].values())
        print(statuses.dumps(put_everywhere(store, Entry(
            arguments.name, content, 0o600, conf.ha.node, epoch), live,
            arguments.wait)))
        return 0
    finally:
        client.close()
