# SPDX-License-Identifier: Apache-2.0
"""Connections to the clusters that hold images, found by fsid."""

from collections.abc import Iterable
from collections.abc import Iterator
import contextlib
from typing import Any

import rbd

from cinder_tagged.ceph import connection
from cinder_tagged.ceph import errors


class Clusters:
    """All clusters that Glance may reach.

    :param confs: paths of the ceph.conf files
    :param user: Ceph user
    :param timeout: limit of every call, in seconds
    :raises ClusterRefused: a file cannot be read or names no fsid, or two
        of them name the same
    """

    def __init__(self, confs: Iterable[str], user: str, timeout: int):
        limits = connection.Timeouts(timeout, timeout, timeout)
        self._by_fsid: dict[str, connection.Identity] = {}
        for conf in confs:
            identity = connection.Identity(conf, 'ceph', user, limits)
            fsid = connection.configured_fsid(identity)
            if not fsid:
                raise errors.ClusterRefused(
                    'conf', conf, 'it names no fsid; add "fsid = ..." to '
                    'its section [global]')
            if fsid in self._by_fsid:
                raise errors.ClusterRefused(
                    'conf', conf, f'its fsid {fsid} is that of '
                    f'{self._by_fsid[fsid].conf}; keep one of them')
            self._by_fsid[fsid] = identity

    @property
    def fsids(self) -> tuple[str, ...]:
        """The clusters, in the order of their files."""
        return tuple(self._by_fsid)

    @contextlib.contextmanager
    def pool(self, fsid: str, pool: str) -> Iterator[Any]:
        """Connect, and open a pool.

        :raises ClusterRefused: no file names the fsid, or the cluster says
            no
        :raises ClusterUnreachable: the cluster does not answer in time
        """
        identity = self._by_fsid.get(fsid)
        if identity is None:
            raise errors.ClusterRefused(
                'fsid', fsid, 'no file in tagged_ceph_confs is of this '
                'cluster; add its ceph.conf')
        client = connection.open_client(identity)
        try:
            # Transfers go through once and in order: a cache would only
            # copy the data and tell of errors late.
            client.conf_set('rbd_cache', 'false')
            ioctx = connection.open_ioctx(client, pool)
            try:
                yield ioctx
            finally:
                ioctx.close()
        finally:
            client.shutdown()

    @contextlib.contextmanager
    def image(self, fsid: str, pool: str, name: str,
              snapshot: str | None = None,
              read_only: bool = False) -> Iterator[Any]:
        """Open an RBD image, or a snapshot of it.

        :raises rbd.ImageNotFound: there is none of this name
        """
        with self.pool(fsid, pool) as ioctx, rbd.Image(
                ioctx, name, snapshot=snapshot,
                read_only=read_only or snapshot is not None) as image:
            yield image
