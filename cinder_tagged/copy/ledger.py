# SPDX-License-Identifier: Apache-2.0
"""Records of copies, kept in the pool that the copies are in.

One object for each copy holds its record, the copier's beat, the time of
its last use and the lease; one more lists the copies.
"""

import dataclasses
from typing import Any

import rados

from cinder_tagged.copy import errors
from cinder_tagged.copy.core import record as record_mod
from cinder_tagged.copy.core.record import Beat
from cinder_tagged.copy.core.record import Record
from cinder_tagged.copy.lease import Lease

_PREFIX = 'cinder_tagged.copy.'
_INDEX = 'cinder_tagged.copies'
_RECORD, _BEAT, _USED = 'record', 'beat', 'used'
_PAGE = 1000


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """What the ledger says of a copy.

    :param used: when it was last used, seconds since the epoch, 0 if never
    """

    record: Record | None = None
    beat: Beat | None = None
    used: float = 0.0


def oid(target: str) -> str:
    """Return the name of the object that describes a copy."""
    return _PREFIX + target


class Ledger:
    """The ledger of one pool.

    Every method may raise ``rados.Error``.

    :param ioctx: an I/O context of the pool
    """

    def __init__(self, ioctx: Any) -> None:
        self._ioctx = ioctx

    def read(self, target: str) -> Entry:
        """Return what is known; an empty entry if nothing is.

        :raises CopyFailed: the record cannot be read by this release
        """
        values = self._values(oid(target), (_RECORD, _BEAT, _USED))
        try:
            return Entry(
                record_mod.load(values[_RECORD])
                if _RECORD in values else None,
                record_mod.load_beat(values[_BEAT])
                if _BEAT in values else None,
                float(values.get(_USED, 0)))
        except ValueError as exc:
            raise errors.CopyFailed(
                f'object {oid(target)}: {exc}; if no release in use knows '
                f'it, remove the image {target} and this object') from exc

    def _values(self, name: str, keys: tuple[str, ...]) -> dict[str, str]:
        with rados.ReadOpCtx() as op:
            items, _status = self._ioctx.get_omap_vals_by_keys(op, keys)
            try:
                self._ioctx.operate_read_op(op, name)
                return {key: value.decode() for key, value in items}
            except rados.ObjectNotFound:
                return {}

    def write(self, record: Record, lease: Lease) -> None:
        """Store a record.

        :raises LeaseLost: the lease is not ours any more; nothing is stored
        """
        self._guarded(lease, {_RECORD: record.dump()})

    def beat(self, beat: Beat, lease: Lease) -> None:
        """Store a sign of life.

        :raises LeaseLost: see :meth:`write`
        """
        self._guarded(lease, {_BEAT: beat.dump()})

    def _guarded(self, lease: Lease, values: dict[str, str]) -> None:
        with rados.WriteOpCtx() as op:
            lease.guard(op)
            self._ioctx.set_omap(
                op, tuple(values),
                tuple(value.encode() for value in values.values()))
            self._operate(op, lease)

    def _operate(self, op: Any, lease: Lease) -> None:
        try:
            self._ioctx.operate_write_op(op, lease.oid)
        except (rados.ObjectBusy, rados.ObjectNotFound) as exc:
            raise errors.LeaseLost(lease.oid) from exc

    def touch(self, target: str, now: float) -> None:
        """Note that a copy was used; does nothing if there is none."""
        with rados.WriteOpCtx() as op:
            op.omap_cmp(_RECORD, '', rados.LIBRADOS_CMPXATTR_OP_GT)
            self._ioctx.set_omap(op, (_USED,), (f'{now:.3f}'.encode(),))
            self._ioctx.operate_write_op(op, oid(target))

    def enlist(self, target: str) -> None:
        """List a copy; before its first record is written."""
        with rados.WriteOpCtx() as op:
            self._ioctx.set_omap(op, (target,), (b'',))
            self._ioctx.operate_write_op(op, _INDEX)

    def targets(self) -> list[str]:
        """Return the names of all copies that are listed."""
        names: list[str] = []
        while True:
            with rados.ReadOpCtx() as op:
                items, _status = self._ioctx.get_omap_vals(
                    op, names[-1] if names else '', '', _PAGE)
                try:
                    self._ioctx.operate_read_op(op, _INDEX)
                except rados.ObjectNotFound:
                    return names
                page = [key for key, _value in items]
            names += page
            if len(page) < _PAGE:
                return names

    def forget(self, target: str, lease: Lease) -> None:
        """Remove a copy's entry, and its lease with it.

        Off the list first: who begins anew lists it again, after taking
        the lease.

        :raises LeaseLost: see :meth:`write`
        """
        lease.renew()
        with rados.WriteOpCtx() as op:
            self._ioctx.remove_omap_keys(op, (target,))
            self._ioctx.operate_write_op(op, _INDEX)
        with rados.WriteOpCtx() as op:
            lease.guard(op)
            op.remove()
            self._operate(op, lease)
