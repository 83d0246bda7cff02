# SPDX-License-Identifier: Apache-2.0
"""Making sure that a former copier writes no more.

A lease that ran out says nothing about writes that are still on their
way. The cluster's blocklist does: after the addresses of the former
copier are on it and this client has seen the map that says so, nothing of
the former copier's can arrive any more.
"""

import logging
from typing import Any

import rados
import rbd

from cinder_tagged.copy import errors
from cinder_tagged.copy.core.record import Record

LOG = logging.getLogger(__name__)

#: Seconds for which an address stays on the blocklist. A client's address
#: holds a random number, so a new client is not hit.
_PERIOD_S = 3600


def writers(ioctx: Any, image: str) -> set[str]:
    """Return the addresses of clients that have an image open to write."""
    try:
        with rbd.Image(ioctx, image, read_only=True) as opened:
            return {watcher['addr'] for watcher in opened.watchers_list()}
    except rbd.ImageNotFound:
        return set()


def shut_out(client: Any, ioctx: Any, record: Record,
             images: tuple[str, ...]) -> None:
    """Blocklist the copier of a record and all who write to its images.

    :param images: target and scratch images of the copy
    :raises CopyFailed: the cluster does not let us
    """
    addresses = {record.copier.address}
    for image in images:
        addresses |= writers(ioctx, image)
    addresses -= {client.get_addrs(), ''}
    for address in sorted(addresses):
        try:
            client.blocklist_add(address, _PERIOD_S)
        except rados.Error as exc:
            raise errors.CopyFailed(
                f'{address} cannot be put on the blocklist ({exc}); give '
                'the Ceph user the monitor capability "profile rbd"'
                ) from exc
        LOG.warning(
            'Blocklisted %(address)s for %(period)d s: attempt %(epoch)d '
            'at %(target)s by %(host)s, process %(pid)d, was left.',
            {'address': address, 'period': _PERIOD_S,
             'epoch': record.epoch, 'target': record.target,
             'host': record.copier.host, 'pid': record.copier.pid})
    client.wait_for_latest_osdmap()
