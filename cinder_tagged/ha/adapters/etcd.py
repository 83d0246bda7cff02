# SPDX-License-Identifier: Apache-2.0
"""The role records in etcd, through etcd3gw, with deadlines and hedging.

etcd3gw talks to one member and waits as long as its timeout says, so each
member has its own clients and threads here.  A request goes to the member
that answers best; if it is slow, the others get the same request, round and
round until its deadline, so that an election ends for us when it ends for
etcd.  That is harmless: a swap that was done already fails the second time,
shows our own value, and the core knows it by its number.
"""

import base64
from collections.abc import Callable
import dataclasses
import queue
import threading
import time
from typing import Any
import urllib.parse

from etcd3gw import exceptions
from etcd3gw.client import Etcd3Client
from oslo_log import log as logging
import requests

from cinder_tagged.ha.core import record as rec

LOG = logging.getLogger(__name__)

#: (won, record, certificate); None if no member answered in time.
Answer = tuple[bool, rec.Record, int] | None


class EtcdError(Exception):
    """No member of etcd carried the request out in time."""


@dataclasses.dataclass(frozen=True)
class Access:
    """How to reach etcd; paths and the password's text."""

    endpoints: tuple[str, ...]
    prefix: str = '/cinder-tagged-ha'
    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    user: str = ''
    password: str = dataclasses.field(default='', repr=False)


def b64(text: str) -> str:
    """Encode a key or value for the gateway."""
    return base64.b64encode(text.encode()).decode()


def connect(access: Access, endpoint: str, timeout: float) -> Any:
    """Return an etcd3gw client of one member; logs in if a user is set."""
    url = urllib.parse.urlsplit(endpoint)
    client = Etcd3Client(
        host=url.hostname or '', port=url.port or 2379, protocol=url.scheme,
        ca_cert=access.ca, cert_key=access.key, cert_cert=access.cert,
        timeout=timeout, api_path='/v3/')
    # No proxy of the environment may stand between a node and its etcd.
    client.session.trust_env = False
    if access.user:
        answer = client.post(client.get_url('/auth/authenticate'), json={
            'name': access.user, 'password': access.password})
        client.session.headers['Authorization'] = answer['token']
    return client


class _Request:
    """One transaction and its single answer."""

    def __init__(self, txn: dict[str, Any], deadline: float,
                 done: Callable[[dict[str, Any] | None], None]) -> None:
        self.txn = txn
        self.deadline = deadline
        self._done: Callable[[dict[str, Any] | None], None] | None = done
        self._lock = threading.Lock()

    @property
    def open(self) -> bool:
        return self._done is not None

    def finish(self, answer: dict[str, Any] | None) -> None:
        with self._lock:
            done, self._done = self._done, None
        if done is not None:
            done(answer)


class _Lane(threading.Thread):
    """One connection to one member."""

    def __init__(self, access: Access, endpoint: str, timeout: float,
                 jobs: 'queue.SimpleQueue[_Request | None]',
                 rate: Callable[[str, float], None]) -> None:
        super().__init__(daemon=True, name=f'etcd {endpoint}')
        self._access, self._endpoint = access, endpoint
        self._timeout, self._jobs, self._rate = timeout, jobs, rate
        self._client: Any = None
        self._refusal = ''

    def run(self) -> None:
        while True:
            job = self._jobs.get()
            if job is None:
                return
            if job.open and time.monotonic() < job.deadline:
                self._serve(job)

    def _serve(self, job: _Request) -> None:
        begin = time.monotonic()
        try:
            if self._client is None:
                self._client = connect(
                    self._access, self._endpoint, self._timeout)
            answer = self._client.transaction(job.txn)
        except (exceptions.Etcd3Exception, requests.RequestException,
                OSError, ValueError, KeyError) as exc:
            self._failed(exc)
            return
        self._rate(self._endpoint, time.monotonic() - begin)
        self._refusal = ''
        job.finish(answer)

    def _failed(self, exc: Exception) -> None:
        self._rate(self._endpoint, 10 * self._timeout)
        LOG.debug('etcd %s: %s', self._endpoint, exc)
        words = (getattr(exc, 'detail_text', '') or str(exc)).strip()
        if type(exc) is exceptions.Etcd3Exception:
            # A token ends with its time and with the member that gave it;
            # only then is a new login worth its price, high on purpose.
            self._client = None
            remedy = 'user and password_file, and the roles of that user'
        elif 'SSL' in words:
            remedy = 'ca_file, cert_file and key_file'
        else:
            return
        if words != self._refusal:
            LOG.warning('etcd %s refuses this node: %s. Look at [ha_etcd] '
                        '%s', self._endpoint, words, remedy)
        self._refusal = words


class Etcd:
    """Linearizable reads and swaps of role records, asynchronous."""

    #: Threads for each member: one stuck request must not block the next.
    LANES = 2

    def __init__(self, access: Access, timeout: float) -> None:
        self.access, self.timeout = access, timeout
        self._rates = dict.fromkeys(access.endpoints, 0.0)
        self._jobs: dict[str, queue.SimpleQueue[_Request | None]] = {
            endpoint: queue.SimpleQueue() for endpoint in access.endpoints}
        self._hedges: queue.SimpleQueue[
            tuple[float, _Request, list[str]] | None] = queue.SimpleQueue()
        for endpoint, jobs in self._jobs.items():
            for _ in range(self.LANES):
                _Lane(access, endpoint, timeout, jobs, self._rate).start()
        threading.Thread(target=self._hedge, daemon=True,
                         name='etcd hedge').start()

    def close(self) -> None:
        """End the threads; requests in flight end at their timeouts."""
        self._hedges.put(None)
        for jobs in self._jobs.values():
            for _ in range(self.LANES):
                jobs.put(None)

    def _rate(self, endpoint: str, seconds: float) -> None:
        self._rates[endpoint] = 0.7 * self._rates[endpoint] + 0.3 * seconds

    def submit(self, txn: dict[str, Any],
               done: Callable[[dict[str, Any] | None], None],
               timeout: float | None = None) -> None:
        """Run ``txn`` on some member; ``done`` is called exactly once."""
        limit = timeout or self.timeout
        request = _Request(txn, time.monotonic() + limit, done)
        order = sorted(self._rates, key=lambda e: self._rates[e])
        self._jobs[order[0]].put(request)
        step = limit / (2 * len(order))
        self._hedges.put((step, request, order[1:] + order[:1]))

    def _hedge(self) -> None:
        waiting: list[tuple[float, float, _Request, list[str]]] = []
        while True:
            now = time.monotonic()
            waiting = [w for w in waiting if w[2].open]
            due = min((w[0] for w in waiting), default=now + 60)
            try:
                item = self._hedges.get(timeout=max(0.001, due - now))
            except queue.Empty:
                waiting = list(self._send_on(waiting))
                continue
            if item is None:
                return
            step, request, others = item
            waiting.append((time.monotonic() + step, step, request, others))

    def _send_on(self, waiting: Any) -> Any:
        now = time.monotonic()
        for due, step, request, order in waiting:
            if now >= request.deadline:
                request.finish(None)
            elif due > now:
                yield due, step, request, order
            else:
                self._jobs[order[0]].put(request)
                yield (min(now + step, request.deadline), step, request,
                       order[1:] + order[:1])

    def call(self, txn: dict[str, Any],
             timeout: float | None = None) -> dict[str, Any]:
        """Run ``txn`` and wait; :raises EtcdError: if nobody answers."""
        answers: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self.submit(txn, answers.put, timeout)
        answer = answers.get()
        if answer is None:
            raise EtcdError('no member of etcd answered within '
                            f'{timeout or self.timeout} s: '
                            + ', '.join(self.access.endpoints))
        return answer

    # Role records

    def _keys(self, role: str) -> tuple[str, str]:
        base = f'{self.access.prefix}/roles/{role}'
        return b64(base + '/record'), b64(base + '/shut')

    def read(self, role: str, done: Callable[[Answer], None]) -> None:
        """Read record and certificate linearizably."""
        record, shut = self._keys(role)
        both = [{'request_range': {'key': record}},
                {'request_range': {'key': shut}}]
        self.submit({'success': both},
                    lambda raw: done(_parse(raw, False)))

    def swap(self, role: str, expect: int, new: rec.Record,
             done: Callable[[Answer], None]) -> None:
        """Replace the record if its revision is still ``expect``."""
        record, shut = self._keys(role)
        txn = {
            'compare': [{'key': record, 'target': 'MOD', 'result': 'EQUAL',
                         'mod_revision': expect}],
            'success': [{'request_put': {
                'key': record, 'value': b64(rec.dump(new))}},
                {'request_range': {'key': shut}}],
            'failure': [{'request_range': {'key': record}},
                        {'request_range': {'key': shut}}]}

        def finish(raw: dict[str, Any] | None) -> None:
            if raw is not None and raw.get('succeeded'):
                revision = int(raw['header']['revision'])
                done((True, dataclasses.replace(new, revision=revision),
                      _number(raw['responses'][1])))
            else:
                done(_parse(raw, False))
        self.submit(txn, finish)

    def certify(self, role: str, epoch: int) -> None:
        """Publish that every gate up to ``epoch`` is shut."""
        _, shut = self._keys(role)
        self.submit({'success': [{'request_put': {
            'key': shut, 'value': b64(str(epoch))}}]},
            lambda raw: None, 5 * self.timeout)


def _parse(raw: dict[str, Any] | None, won: bool) -> Answer:
    if raw is None:
        return None
    record, shut = raw['responses']
    kvs = record['response_range'].get('kvs')
    if not kvs:
        return won, rec.Record(), _number(shut)
    try:
        text = base64.b64decode(kvs[0]['value']).decode()
        return (won, rec.load(text, int(kvs[0]['mod_revision'])),
                _number(shut))
    except (rec.BadRecord, UnicodeDecodeError) as exc:
        LOG.error('The role record in etcd is unreadable: %s. Nothing is '
                  'taken until it is repaired or deleted.', exc)
        return None


def _number(response: dict[str, Any]) -> int:
    kvs = response['response_range'].get('kvs')
    if not kvs:
        return 0
    text = base64.b64decode(kvs[0]['value']).decode()
    return int(text) if text.isdigit() else 0
