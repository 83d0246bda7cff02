# SPDX-License-Identifier: Apache-2.0
"""Cinder's RBD driver over kept connections, with a limit on every call."""

from collections.abc import Callable
import logging
import sys
from typing import Any

from cinder import exception
from cinder.volume.drivers import rbd as cinder_rbd

from cinder_tagged.ceph import errors
from cinder_tagged.volume import cluster
from cinder_tagged.volume import reading

LOG = logging.getLogger(__name__)


class KeptConnections(cinder_rbd.RBDDriver):  # type: ignore[misc]
    """The RBD driver, taking its connections from :attr:`access`."""

    _access: cluster.ClusterAccess | None = None

    @property
    def access(self) -> cluster.ClusterAccess:
        """The way to the cluster."""
        if self._access is None:
            raise exception.DriverNotInitialized()
        return self._access

    def _connect_to_rados(self, pool: str | None = None,
                          remote: dict[str, Any] | None = None,
                          timeout: int | None = None) -> tuple[Any, Any]:
        try:
            return self.access.connect(pool, remote, timeout)
        except errors.CephError as exc:
            raise exception.VolumeBackendAPIException(data=str(exc)) from exc

    def _disconnect_from_rados(self, client: Any, ioctx: Any) -> None:
        # Called while the error that ended the use, if any, is handled.
        self.access.disconnect(client, ioctx, sys.exc_info()[1])

    def use_cluster(self, fsid: str, use: Callable[[Any], None]) -> None:
        """Call ``use`` with a connected client of a cluster.

        :raises LookupError: it is not the cluster of this backend
        """
        if fsid != self._get_fsid():
            raise LookupError(fsid)
        with cinder_rbd.RADOSClient(self) as client:
            use(client.cluster)

    def cluster_seen(self) -> tuple[float | None, float | None]:
        """Tell since when the cluster does not answer, and when it last did.

        Both in seconds since 1970; None where it does, or never did.
        """
        return self._access.seen() if self._access else (None, None)

    def drop_clone_snapshot(self, volume: Any, source: str) -> None:
        """Remove what a clone that was cut off left on its source.

        :param source: name of the image that was to be cloned
        """
        name = f'{volume.name}.clone_snap'
        try:
            with cinder_rbd.RBDVolumeProxy(self, source) as image:
                if name not in [s['name'] for s in image.list_snaps()]:
                    return
                if image.is_protected_snap(name):
                    image.unprotect_snap(name)
                image.remove_snap(name)
        except (self.rbd.ImageNotFound, self.rbd.ImageBusy) as exc:
            LOG.info('Snapshot %s of %s stays: %s', name, source, exc)

    def _get_fsid(self) -> str:
        return self.access.fsid()

    def _get_mon_addrs(self) -> tuple[list[str], list[str]]:
        with cinder_rbd.RADOSClient(self) as client:
            try:
                return cluster.mon_addresses(client.cluster)
            except errors.CephError as exc:
                raise exception.VolumeBackendAPIException(
                    data=str(exc)) from exc

    def _get_rbd_handle(self, volume: Any) -> Any:
        return reading.open_file(self, volume.name)

    def _ceph_args(self) -> list[str]:
        # For the tools of Ceph that the RBD driver runs: they have no limit
        # of their own either.
        limits = cluster.timeouts(self.configuration, None).options()
        return [*super()._ceph_args(),
                *(f'--{name}={value}' for name, value in limits.items())]

    def _trash_purge(self) -> None:
        # An error would end the periodic task for good.
        try:
            super()._trash_purge()
        except exception.VolumeBackendAPIException as exc:
            LOG.warning('The trash is not emptied now: %s', exc)

    def migrate_volume(self, context: Any, volume: Any,
                       host: dict[str, Any]) -> tuple[bool, Any]:
        """Move a volume between pools of this cluster.

        The RBD driver connects to the other cluster, without a limit, to
        learn that it is another one; the statistics tell as much.
        """
        place = str(host['capabilities'].get('location_info') or '')
        if place.count(':') == 4 and place.split(':')[2] != self._get_fsid():
            LOG.debug('%s is in another cluster.', host.get('host'))
            return False, None
        moved: tuple[bool, Any] = super().migrate_volume(context, volume,
                                                         host)
        return moved
