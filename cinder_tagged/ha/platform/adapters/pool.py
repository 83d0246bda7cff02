# SPDX-License-Identifier: Apache-2.0
"""The pool: check of the service, the record, and fencing; all bounded."""

import contextlib
import json
import logging
import threading
from typing import Any

import rados
import rbd

from cinder_tagged.ceph import connection
from cinder_tagged.ceph import errors
from cinder_tagged.ha.platform import exceptions
from cinder_tagged.ha.platform.core import record as rec

LOG = logging.getLogger(__name__)
_KEY = 'record'
_VOLUME = 'volume'


class Pool:
    """One connection to the cluster, opened again when it is lost.

    :param deadline: seconds that one call may take
    """

    def __init__(self, conf: str, user: str, pool: str, name: str,
                 deadline: float) -> None:
        limit = max(1, int(deadline))
        self._identity = connection.Identity(
            conf, 'ceph', user, connection.Timeouts(limit, limit, limit))
        self.pool, self._object = pool, f'cinder-tagged-platform.{name}'
        self._lock = threading.Lock()
        self._client: Any = None

    @contextlib.contextmanager
    def _ioctx(self) -> Any:
        client = None
        try:
            with self._lock:
                if self._client is None:
                    self._client = connection.open_client(self._identity)
                client = self._client
            with contextlib.closing(connection.open_ioctx(
                    client, self.pool)) as ioctx:
                yield client, ioctx
        except (rados.Error, rbd.Error, errors.CephError, OSError) as exc:
            if errors.is_lost(exc) or isinstance(
                    exc, errors.ClusterUnreachable):
                self._forget(client)
            raise exceptions.PlatformError(
                f'pool {self.pool}: {exc}') from exc

    def _forget(self, client: Any) -> None:
        with self._lock:
            if client is None or self._client is not client:
                return
            self._client = None
        # Other calls may still be on it; it ends when they are done.
        threading.Timer(60, client.shutdown).start()

    def close(self) -> None:
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.shutdown()

    # -- the service ---------------------------------------------------------

    def check(self, node: str, report: dict[str, Any]
              ) -> tuple[str, rec.Record]:
        """Write, read back, and return the record (raw and parsed).

        :param report: what this server tells the others with it
        :raises PlatformError: the storage does not do what it should
        """
        data = json.dumps(report, sort_keys=True).encode()
        with self._ioctx() as (_, ioctx):
            name = f'{self._object}.{node}'
            ioctx.write_full(name, data)
            if ioctx.read(name, len(data) + 1) != data:
                raise exceptions.PlatformError(
                    f'pool {self.pool}: what was written does not come back')
            return self._read(ioctx)

    def reports(self) -> dict[str, dict[str, Any]]:
        """What each server wrote with its last check."""
        found = {}
        prefix = f'{self._object}.'
        with self._ioctx() as (_, ioctx):
            for item in ioctx.list_objects():
                if item.key.startswith(prefix):
                    with contextlib.suppress(ValueError,
                                             rados.ObjectNotFound):
                        found[item.key[len(prefix):]] = json.loads(
                            ioctx.read(item.key, 65536))
        return found

    # -- the record ----------------------------------------------------------

    def read(self) -> tuple[str, rec.Record]:
        """Return the record, raw ('' if there is none) and parsed."""
        with self._ioctx() as (_, ioctx):
            return self._read(ioctx)

    def _read(self, ioctx: Any) -> tuple[str, rec.Record]:
        raw = self._value(ioctx, _KEY)
        try:
            return raw, rec.load(raw) if raw else rec.Record()
        except ValueError as exc:
            raise exceptions.PlatformError(
                f'object {self._object} in pool {self.pool}: {exc}') from exc

    def _value(self, ioctx: Any, key: str) -> str:
        with rados.ReadOpCtx() as op:
            found, _ = ioctx.get_omap_vals_by_keys(op, (key,))
            try:
                ioctx.operate_read_op(op, self._object)
            except rados.ObjectNotFound:
                return ''
            # librados tells an empty value as None.
            return str(dict(found).get(key) or b'', 'utf-8')

    def swap(self, raw: str, new: rec.Record) -> bool:
        """Replace the record if it still is ``raw``; False if it is not."""
        with self._ioctx() as (_, ioctx), rados.WriteOpCtx() as op:
            if raw:
                op.omap_cmp(_KEY, raw)
            elif self._value(ioctx, _VOLUME):
                op.omap_cmp(_KEY, '')
            else:
                op.new(rados.LIBRADOS_CREATE_EXCLUSIVE)
            ioctx.set_omap(op, (_KEY,), (rec.dump(new).encode(),))
            try:
                ioctx.operate_write_op(op, self._object)
            except (rados.ObjectExists, rados.Error) as exc:
                if _lost_race(exc):
                    return False
                raise
            return True

    def volume(self) -> str:
        """Name of the image that Cinder made; '' if none was kept."""
        with self._ioctx() as (_, ioctx):
            return self._value(ioctx, _VOLUME)

    def keep_volume(self, image: str) -> None:
        """Keep the name of the image for every server.

        :raises PlatformError: another one is kept, which may have data
        """
        with self._ioctx() as (_, ioctx), rados.WriteOpCtx() as op:
            kept = self._value(ioctx, _VOLUME)
            if kept not in ('', image):
                raise exceptions.PlatformError(
                    f'the platform has the volume {self.pool}/{kept} '
                    f'already, so {image} is not taken: delete the new '
                    'volume, or, to give the old one up, remove the key '
                    f'{_VOLUME} of the object {self._object} '
                    '("rados rmomapkey")')
            if not self._value(ioctx, _KEY):
                ioctx.set_omap(op, (_KEY,), (b'',))
            ioctx.set_omap(op, (_VOLUME,), (image.encode(),))
            ioctx.operate_write_op(op, self._object)

    # -- the volume ----------------------------------------------------------

    def has(self, image: str) -> bool:
        """Whether the image is in this pool of this cluster."""
        with self._ioctx() as (_, ioctx):
            return image in rbd.RBD().list(ioctx)

    def ensure(self, image: str, gib: int, used: bool) -> None:
        """Make the image if it is missing and may be made."""
        with self._ioctx() as (_, ioctx):
            if image in rbd.RBD().list(ioctx):
                return
            if used or not gib:
                raise exceptions.PlatformError(
                    f'the volume {self.pool}/{image} does not exist'
                    + (', but it was in use before: it is not made anew'
                       if used else '; make it, or set size'))
            rbd.RBD().create(ioctx, image, gib << 30)
            LOG.warning('Made the volume %s/%s of %d GiB', self.pool, image,
                        gib)

    def allocated(self, image: str) -> bool:
        """Whether a byte of the image was ever written."""
        found = []
        with self._ioctx() as (_, ioctx), rbd.Image(
                ioctx, image, read_only=True) as volume:
            volume.diff_iterate(
                0, volume.size(), None,
                lambda offset, length, exists: found.append(offset),
                whole_object=True)
        return bool(found)

    def watchers(self, image: str) -> frozenset[str]:
        """Addresses of the clients that have the image open, not ours."""
        with self._ioctx() as (client, ioctx):
            try:
                with rbd.Image(ioctx, image, read_only=True) as volume:
                    found = {w['addr'] for w in volume.watchers_list()}
            except rbd.ImageNotFound:
                return frozenset()
            nonce = client.get_addrs().rstrip(']').rpartition('/')[2]
            return frozenset(a for a in found
                             if a.rpartition('/')[2] != nonce)

    def fence(self, image: str, addresses: frozenset[str],
              seconds: int) -> None:
        """Have the cluster refuse these clients from now on.

        :raises PlatformError: it is not certain that all are refused
        """
        with self._ioctx() as (client, ioctx):
            for address in sorted(addresses):
                client.blocklist_add(address, seconds)
                LOG.warning('Fenced %s for %d s', address, seconds)
            client.wait_for_latest_osdmap()
            if addresses:
                self._break_locks(ioctx, image)

    @staticmethod
    def _break_locks(ioctx: Any, image: str) -> None:
        # Or the next writer waits half a minute for a dead owner.
        try:
            with rbd.Image(ioctx, image) as volume:
                for owner in list(volume.lock_get_owners()):
                    volume.lock_break(rbd.RBD_LOCK_MODE_EXCLUSIVE,
                                      owner['owner'])
                    LOG.warning('Broke the lock of %s on %s',
                                owner['owner'], image)
        except rbd.ImageNotFound:
            return


def _lost_race(exc: BaseException) -> bool:
    return isinstance(exc, rados.ObjectExists) or abs(
        getattr(exc, 'errno', 0) or 0) in (17, 125)
