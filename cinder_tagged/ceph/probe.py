# SPDX-License-Identifier: Apache-2.0
"""Ask a cluster for a sign of life that cannot lie.

The monitors go on showing the last OSD of a cluster as up when it is dead,
and answer for OSDs that write nothing. So the sign is a write of our own to
the pool that holds the volumes, in a limited time.
"""

from collections.abc import Callable
import dataclasses
import enum
import errno
import json
import time
from typing import Any

import rados

from cinder_tagged.ceph import capacity as capacity_mod
from cinder_tagged.ceph import connection
from cinder_tagged.ceph import errors

# librados.h; this binding has no name for it. A full pool answers at once
# instead of holding the write back: full is not down.
_FULL_TRY = 64
_FULL = (errno.ENOSPC, errno.EDQUOT)
_FORBIDDEN = (errno.EPERM, errno.EACCES)


class State(enum.Enum):
    """What a probe made of a cluster."""

    UP = 'up'
    UNREACHABLE = 'unreachable'
    REFUSED = 'refused'


@dataclasses.dataclass(frozen=True, slots=True)
class Sample:
    """What one probe saw.

    :param taken: when, on the monotonic clock
    :param seconds: how long it took
    :param reason: what was wrong, for people; '' if nothing was
    :param fsid: the cluster's own identifier; '' if it could not be asked
    :param capacity: None if it could not be asked
    :param refusal: the error behind :attr:`State.REFUSED`
    :param identity: who was asked, and as whom
    """

    state: State
    taken: float
    seconds: float = 0.0
    reason: str = ''
    fsid: str = ''
    capacity: capacity_mod.Capacity | None = None
    refusal: errors.ClusterRefused | None = None
    identity: connection.Identity | None = None

    @property
    def up(self) -> bool:
        """Whether the cluster did all that was asked, in time."""
        return self.state is State.UP


class Prober:
    """Probes one pool of one cluster over a connection of its own.

    No call takes much longer than twice the deadline. It neither logs nor
    locks, so that it can run on a thread outside of an event loop.

    :param identity: gives whom to probe; its timeouts are the deadline
    :param name: of the object that is written, unique to this service
    """

    def __init__(self, identity: Callable[[], connection.Identity],
                 pool: str, name: str, deadline_s: float) -> None:
        self._identity = identity
        self._pool = pool
        self._object = f'cinder_tagged.probe.{name}'
        self._deadline_s = deadline_s
        self._client: Any = None
        self._connected: connection.Identity | None = None
        self._fsid = ''

    def probe(self) -> Sample:
        """Write, then ask for capacity; never raises for a faulty cluster."""
        start = time.monotonic()
        identity = self._identity()
        blank = Sample(State.UNREACHABLE, start, identity=identity)
        self._fsid = ''
        try:
            capacity = self._ask(start, identity)
        except errors.ClusterRefused as exc:
            self.close()
            return self._done(blank, state=State.REFUSED, reason=str(exc),
                              refusal=exc)
        except (errors.ClusterUnreachable, rados.Error, ValueError) as exc:
            self.close()
            return self._done(blank, reason=str(exc))
        return self._done(blank, state=State.UP, capacity=capacity)

    def close(self) -> None:
        """Drop the connection; the next probe opens another."""
        client, self._client = self._client, None
        if client is not None:
            client.shutdown()

    def _done(self, blank: Sample, **seen: Any) -> Sample:
        now = time.monotonic()
        return dataclasses.replace(blank, taken=now, fsid=self._fsid,
                                   seconds=now - blank.taken, **seen)

    def _ask(self, start: float, identity: connection.Identity
             ) -> capacity_mod.Capacity | None:
        client = self._connect(identity)
        self._fsid = str(client.get_fsid())
        ioctx = connection.open_ioctx(client, self._pool)
        try:
            self._write(ioctx, identity)
        finally:
            ioctx.close()
        self._in_time(start, 'the write')
        df = self._command(client, 'df')
        self._in_time(start, 'the statistics')
        quota = self._command(client, 'osd pool get-quota', pool=self._pool)
        self._in_time(start, 'the quota')
        if df is None or quota is None:
            return None
        try:
            return capacity_mod.from_answers(df, quota, self._pool)
        except LookupError:
            # Without an active manager there are no statistics; volumes
            # can be made and used all the same.
            return None

    def _connect(self, identity: connection.Identity) -> Any:
        if self._client is not None and identity != self._connected:
            self.close()
        if self._client is None:
            self._client = connection.open_client(identity, tell=False)
            self._connected = identity
        return self._client

    def _write(self, ioctx: Any, identity: connection.Identity) -> None:
        try:
            with rados.WriteOpCtx() as operation:
                operation.write_full(b'alive')
                ioctx.operate_write_op(operation, self._object,
                                       flags=_FULL_TRY)
        except rados.Error as exc:
            number = getattr(exc, 'errno', None)
            if number in _FULL:
                return
            if number not in _FORBIDDEN:
                raise
            raise errors.ClusterRefused(
                'user', f'client.{identity.user or "admin"}',
                f'it may not write to pool {self._pool} ({exc}); give it '
                f'the caps "profile rbd pool={self._pool}"') from exc

    def _command(self, client: Any, prefix: str, **arguments: str) -> Any:
        """Return the parsed answer; None if the monitors decline."""
        status, out, message = client.mon_command(json.dumps(
            {'prefix': prefix, 'format': 'json', **arguments}), b'')
        if status == -errno.ETIMEDOUT:
            raise errors.ClusterUnreachable(
                f'the monitors did not answer "{prefix}": {message} '
                f'({status})')
        return None if status else json.loads(out)

    def _in_time(self, start: float, what: str) -> None:
        took = time.monotonic() - start
        if took > self._deadline_s:
            raise errors.ClusterUnreachable(
                f'{what} was done only after {took:.1f} s; the limit is '
                f'{self._deadline_s:g} s')
