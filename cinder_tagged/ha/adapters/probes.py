# SPDX-License-Identifier: Apache-2.0
"""Is this node fit to control?  Services, links and the RBD connection.

Each probe runs in a thread of its own, so one that hangs delays no other;
one whose last result is too old counts as failed.
"""

from collections.abc import Callable
from collections.abc import Mapping
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request

from oslo_log import log as logging

LOG = logging.getLogger(__name__)


class Unsound(Exception):
    """The probe found a fault; the text says which."""


def tcp(target: str, deadline: float) -> None:
    """Connect to HOST:PORT."""
    host, _, port = target.rpartition(':')
    try:
        socket.create_connection(
            (host.strip('[]'), int(port)), deadline).close()
    except OSError as exc:
        raise Unsound(f'{target}: {exc}') from exc


def http(target: str, deadline: float) -> None:
    """Get an URL; an answer below 500 is sound: the process works."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(target, timeout=deadline) as answer:
            answer.read(1)
    except urllib.error.HTTPError as exc:
        if exc.code >= 500:
            raise Unsound(f'{target}: status {exc.code}') from exc
    except (OSError, ValueError) as exc:
        raise Unsound(f'{target}: {exc}') from exc


def pid(target: str, deadline: float) -> None:
    """The process of a PID file lives and is neither stopped nor dead."""
    try:
        with open(target) as source:
            number = int(source.read())
        with open(f'/proc/{number}/stat') as source:
            state = source.read().rpartition(')')[2].split()[0]
    except (OSError, ValueError) as exc:
        raise Unsound(f'{target}: {exc}') from exc
    if state in 'TtZX':
        raise Unsound(f'process {number} is in state {state}')


def unit(target: str, deadline: float) -> None:
    """The systemd unit is active."""
    try:
        done = subprocess.run(['systemctl', 'is-active', '--quiet', target],
                              timeout=deadline, check=False)
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise Unsound(f'{target}: {exc}') from exc
    if done.returncode:
        raise Unsound(f'unit {target} is not active')


def parse(text: str) -> tuple[Callable[[str, float], None], str]:
    """Return (probe, target); :raises ValueError: if there is no such."""
    if text.startswith(('http://', 'https://')):
        return http, text
    kind, _, target = text.partition(':')
    kinds = {'tcp': tcp, 'pid': pid, 'unit': unit}
    if kind not in kinds or not target:
        raise ValueError(f'[ha_probes] services: {text!r} is none of '
                         'tcp:HOST:PORT, http://..., pid:FILE, unit:NAME')
    return kinds[kind], target


class RbdProbe:
    """An RBD client of the agent's own, proved by a timed write.

    librados retries for ever by default; these options bound it.  The
    cluster's map may show a dead lone OSD as up, so only a write counts.
    """

    def __init__(self, conf: str, user: str, pool: str, node: str) -> None:
        self._conf, self._user, self._pool = conf, user, pool
        self._object = f'cinder-tagged-ha.{node}'
        self._client: object | None = None

    def __call__(self, target: str, deadline: float) -> None:
        import rados
        begin = time.monotonic()
        try:
            if self._client is None:
                client = rados.Rados(
                    conffile=self._conf, rados_id=self._user, conf={
                        'client_mount_timeout': str(max(1, int(deadline))),
                        'rados_mon_op_timeout': str(max(1, int(deadline))),
                        'rados_osd_op_timeout': str(max(1, int(deadline)))})
                client.connect()
                self._client = client
            with self._client.open_ioctx(self._pool) as pool:  # type: ignore
                pool.write_full(self._object, b'%f' % begin)
        except (rados.Error, OSError) as exc:
            client, self._client = self._client, None
            if client is not None:
                client.shutdown()  # type: ignore[attr-defined]
            raise Unsound(f'pool {self._pool}: {exc}') from exc


class Watch(threading.Thread):
    """Run one probe for ever; ``fault`` is its text or ''."""

    def __init__(self, name: str, probe: Callable[[str, float], None],
                 target: str, period: float, deadline: float, fall: int,
                 changed: Callable[[], None]) -> None:
        super().__init__(daemon=True, name=f'probe {name}')
        self.label = name
        self._probe, self._target = probe, target
        self._period, self._deadline, self._fall = period, deadline, fall
        self._changed = changed
        self._failures = 0
        self._text = 'not probed yet'
        self._done_at = time.monotonic()
        self._ended = threading.Event()

    def stop(self) -> None:
        self._ended.set()

    @property
    def fault(self) -> str:
        """What is wrong, '' if nothing; a hung probe is a fault."""
        age = time.monotonic() - self._done_at
        limit = self._fall * (self._period + self._deadline) + 1
        if age > limit:
            return f'{self.label}: no answer for {age:.1f} s'
        return self._text

    def run(self) -> None:
        while not self._ended.is_set():
            before = self._text
            try:
                self._probe(self._target, self._deadline)
                self._failures, self._text = 0, ''
            except Unsound as exc:
                self._failures += 1
                if self._failures >= self._fall or before:
                    self._text = f'{self.label}: {exc}'
            self._done_at = time.monotonic()
            if bool(before) != bool(self._text):
                self._changed()
            self._ended.wait(self._period)


def faults(watches: Mapping[str, Watch]) -> frozenset[str]:
    """Texts of all that is wrong now."""
    return frozenset(w.fault for w in watches.values() if w.fault)
