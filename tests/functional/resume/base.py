# SPDX-License-Identifier: Apache-2.0
"""Three storage nodes in one cluster, requests, and faults of a node."""

from collections import Counter
from collections.abc import Mapping
import os
import re
import sys
from typing import Any

from oslotest import base as oslo_base
from testtools import content

from devstack.sandbox.process import wait_until
from devstack.sandbox.settings import BACKENDS
from tests.functional import base
from tests.functional.resume.audit import audit
from tests.functional.resume.stream import Stream

_IMAGE_MIB = 8
_DEADLINE_S = 240


def make_image(connection: Any, mib: int = _IMAGE_MIB) -> str:
    """Upload a small raw image and return its id."""
    image = connection.image.create_image(
        'origin', data=os.urandom(1024 * 1024) * mib, disk_format='raw',
        container_format='bare', wait=True, timeout=_DEADLINE_S)
    return str(image.id)


def ceph_ports(cluster: Any) -> list[int]:
    """Return the ports on which a cluster's daemons serve clients."""
    mon = re.search(r'^mon_host = .*:(\d+)/0', cluster.conf.read_text(),
                    re.MULTILINE)
    assert mon is not None
    with cluster.connect() as client:
        osds = cluster.command(client, 'osd dump')['osds']
    return [int(mon[1]), *(
        int(address['addr'].rpartition(':')[2]) for osd in osds
        for address in osd['public_addrs']['addrvec'])]


def node_up(sandbox: Any, host: str) -> bool:
    """Tell whether every volume service of a node is on record and live."""
    backends = {f'{host}@{b.name}' for b in sandbox.settings.backends}
    rows = sandbox.database.execute(
        'SELECT host FROM cinder_tagged_incarnations WHERE fenced_at IS NULL'
        ' AND seen_at > UNIX_TIMESTAMP() - 4', database='cinder')
    return backends <= {host for (host,) in rows}


class ResumeTestCase(oslo_base.BaseTestCase):
    """A sandbox of its own, whose volume services may die.

    :cvar nodes: how many volume services
    :cvar schedulers: how many schedulers
    :cvar defaults: more of [DEFAULT] in cinder.conf
    :cvar eventlet: on green threads, Cinder's own choice, or on native ones
    """

    nodes = 3
    schedulers = 1
    defaults: Mapping[str, Any] = {}
    eventlet = False

    def setUp(self) -> None:
        # First: it outlives the fixtures' HOME.
        self.sandbox = base.new_sandbox(
            journal=True, storage_nodes=self.nodes,
            schedulers=self.schedulers, backends=BACKENDS[:2],
            eventlet=self.eventlet,
            # Quick to see that a node lost its clusters.
            overlays={'cinder': {'backend_defaults': {
                'cluster_probe_interval': 2, 'cluster_probe_deadline': 3},
                'DEFAULT': dict(self.defaults)}},
            parts=frozenset(('image',)))
        self.addCleanup(self.sandbox.stop)
        super().setUp()
        self.image = make_image(self.sandbox.connect())
        self.cinder_volume = self.sandbox.cinder_volume

    def stream(self, **options: Any) -> Stream:
        """Return a stream of requests to this sandbox."""
        return Stream(self.connect, self.image, **options)

    def connect(self) -> Any:
        """Return a connection for the stream."""
        return self.sandbox.connect('admin')

    def wait_until(self, check: Any, what: str) -> None:
        """Wait within a generous limit."""
        wait_until(check, _DEADLINE_S, what, interval=0.1)

    def busy(self, stream: Stream) -> None:
        """Wait until requests are under way."""
        self.wait_until(lambda: stream.under_way >= 3, 'requests under way')

    def fenced(self, host: str) -> bool:
        """Tell whether what ran on a node was declared dead and cut off."""
        rows = self.sandbox.database.execute(
            'SELECT cut_at FROM cinder_tagged_incarnations WHERE host LIKE %s'
            ' AND seen_at < UNIX_TIMESTAMP() - 1', f'{host}@%',
            database='cinder')
        return bool(rows) and all(cut for (cut,) in rows)

    def resumed(self) -> dict[str, int]:
        """Return how many requests another service did again, by kind."""
        return dict(self.sandbox.database.execute(
            'SELECT method, SUM(number) FROM cinder_tagged_outcomes '
            'GROUP BY method', database='cinder'))

    def owner(self, method: str) -> str:
        """Return a node that works on such a request now; '' if none."""
        rows = self.sandbox.database.execute(
            'SELECT i.host FROM cinder_tagged_entries e JOIN '
            'cinder_tagged_incarnations i ON i.id = e.owner WHERE '
            "e.method = %s AND e.state = 'running' AND i.fenced_at IS NULL",
            method, database='cinder')
        return str(rows[0][0]).partition('@')[0] if rows else ''

    def judge(self, stream: Stream) -> None:
        """Demand that every accepted request came to what was asked."""
        kinds = Counter(r.kind for r in stream.requests)
        slow = sorted((r.took for r in stream.requests), reverse=True)[:5]
        text = (f'{len(stream.requests)} requests {dict(kinds)}, '
                f'slowest {[round(s, 1) for s in slow]} s; '
                f'not answered or refused: {len(stream.refused)} '
                f'{dict(Counter(e[-40:] for e in stream.refused))}')
        self.addDetail('stream', content.text_content(text))
        print(text, file=sys.stderr)
        problems = [*map(str, stream.unfulfilled()), *stream.faults,
                    *audit(self.sandbox, stream.promised)]
        self.assertEqual([], problems, self._logs())

    def _logs(self) -> str:
        lines = []
        for service in (*self.cinder_volume.services,
                        *self.sandbox.cinder_schedulers.services,
                        self.sandbox.cinder_api.api):
            found = [line for line in service.log.read_text(
                errors='replace').splitlines()
                if 'ERROR' in line or 'resum' in line or 'again' in line
                or 'enced' in line or 'ut off' in line]
            lines += [f'--- {service.name}', *found[-60:]]
        return '\n'.join(lines)
