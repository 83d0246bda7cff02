# SPDX-License-Identifier: Apache-2.0
"""The right to make one copy: a lock on the cluster that runs out.

The lock lives on the same object as the copy's record. Each write of the
record carries a condition that the cluster checks in the same step: the
writer holds the lock. A holder that was paused past its time cannot write
the record any more; its image writes are stopped by the blocklist, see
:mod:`cinder_tagged.copy.fence`.
"""

import contextlib
import struct
from typing import Any

import rados

from cinder_tagged.copy import errors

_NAME = 'copier'
_EXCLUSIVE = 1
_MUST_RENEW = 2


def _text(value: str) -> bytes:
    raw = value.encode()
    return struct.pack('<I', len(raw)) + raw


def _assertion(cookie: str) -> bytes:
    """Encode the operand of the class method ``lock.assert_locked``.

    Version 1 of the structure: name, type, cookie, tag.
    """
    body = (_text(_NAME) + struct.pack('<B', _EXCLUSIVE) + _text(cookie)
            + _text(''))
    return struct.pack('<BBI', 1, 1, len(body)) + body


class Lease:
    """An exclusive lock that its holder has to renew.

    :param ioctx: of the pool; its connection is the holder's identity
    :param oid: the object that the lock and the record live on
    :param seconds: whole seconds after which it runs out by itself (the
        cluster takes about one more)
    """

    def __init__(self, ioctx: Any, oid: str, cookie: str, holder: str,
                 seconds: int) -> None:
        self._ioctx = ioctx
        self.oid = oid
        self._cookie = cookie
        self._holder = holder
        self.seconds = seconds

    def take(self) -> None:
        """Take the lock.

        :raises LeaseHeld: another one has it
        """
        try:
            self._lock(0)
        except (rados.ObjectBusy, rados.ObjectExists) as exc:
            raise errors.LeaseHeld(self.oid) from exc

    def renew(self) -> None:
        """Hold it for another period.

        :raises LeaseLost: it ran out
        """
        try:
            self._lock(_MUST_RENEW)
        except (rados.ObjectNotFound, rados.ObjectBusy) as exc:
            raise errors.LeaseLost(self.oid) from exc

    def _lock(self, flags: int) -> None:
        self._ioctx.lock_exclusive(self.oid, _NAME, self._cookie,
                                   self._holder, self.seconds, flags)

    def release(self) -> None:
        """Give it up; one that ran out already is fine."""
        with contextlib.suppress(rados.ObjectNotFound):
            self._ioctx.unlock(self.oid, _NAME, self._cookie)

    def guard(self, op: Any) -> None:
        """Make a write operation fail unless the lock is ours.

        Operations on :attr:`oid` only. A refusal shows as
        ``rados.ObjectBusy`` when the operation is carried out.
        """
        op.execute('lock', 'assert_locked', _assertion(self._cookie))


def held(ioctx: Any, oid: str) -> bool:
    """Tell whether somebody holds the lease on an object.

    The cluster leaves out holders whose time ran out.
    """
    body = _text(_NAME)
    try:
        _length, reply = ioctx.execute(
            oid, 'lock', 'get_info',
            struct.pack('<BBI', 1, 1, len(body)) + body)
    except rados.ObjectNotFound:
        return False
    # A header of six bytes, then the number of holders.
    return bool(struct.unpack_from('<I', reply, 6)[0])
