# SPDX-License-Identifier: Apache-2.0
"""The image that a copy is written to: looked at, made, sealed, removed."""

import contextlib
import logging
import time
from typing import Any

import rbd

from cinder_tagged.copy import errors
from cinder_tagged.copy.core.decision import Found

LOG = logging.getLogger(__name__)

# A client that died keeps its watch on an image for 30 s, unless it is on
# the blocklist.
_WATCH_S = 40.0
_PAUSE_S = 0.5


def look(ioctx: Any, name: str, snapshot: str = '') -> Found | None:
    """Return the image that stands under a name, or None.

    :param snapshot: whose id to tell; it must exist as an ordinary one
    """
    try:
        with rbd.Image(ioctx, name, read_only=True) as image:
            snap_id = None
            if snapshot:
                for snap in image.list_snaps():
                    if snap['name'] == snapshot:
                        snap_id = snap['id']
            return Found(image.id(), image.size(), snap_id)
    except rbd.ImageNotFound:
        return None


def make(ioctx: Any, name: str, size: int, order: int,
         features: int | None) -> None:
    """Make an empty image."""
    rbd.RBD().create(ioctx, name, size, order, old_format=False,
                     features=features)


def seal(image: Any, snapshot: str) -> Found:
    """Make what was written last, and put the snapshot on it."""
    image.flush()
    snap_id = None
    if snapshot:
        image.create_snap(snapshot)
        snap_id = image.snap_get_id(snapshot)
    return Found(image.id(), image.size(), snap_id)


def remove(ioctx: Any, name: str, deadline_s: float = _WATCH_S) -> bool:
    """Remove an image with its snapshots; one that is gone is fine.

    Traces of an image whose creation or removal was cut short go, too.

    :returns: False if clones stand on it; then it is in the RBD trash, or
        still in place when its snapshot has clones
    :raises CopyFailed: somebody keeps it open
    """
    end = time.monotonic() + deadline_s
    while True:
        try:
            with contextlib.suppress(rbd.ImageNotFound):
                _remove_snapshots(ioctx, name)
            rbd.RBD().remove(ioctx, name)
            return True
        except rbd.ImageNotFound:
            return True
        except rbd.ImageHasSnapshots:
            # A clone came in between: its snapshot lives on, hidden, until
            # the clone goes. The trash keeps the image until then.
            rbd.RBD().trash_move(ioctx, name, 0)
            LOG.info('Image %s has clones; it is in the RBD trash.', name)
            return False
        except rbd.ImageBusy as exc:
            if time.monotonic() > end:
                raise errors.CopyFailed(
                    f'image {name} is in use: {exc}') from exc
            time.sleep(_PAUSE_S)


def _remove_snapshots(ioctx: Any, name: str) -> None:
    with rbd.Image(ioctx, name) as image:
        for snap in list(image.list_snaps()):
            if image.is_protected_snap(snap['name']):
                image.unprotect_snap(snap['name'])
            image.remove_snap(snap['name'])


def clones(ioctx: Any, name: str, snapshot: str) -> int:
    """Return how many clones stand on a snapshot, those in trash too."""
    try:
        with rbd.Image(ioctx, name, snapshot=snapshot,
                       read_only=True) as image:
            return sum(1 for _child in image.list_children2())
    except rbd.ImageNotFound:
        return 0


def empty_trash(ioctx: Any, prefix: str) -> int:
    """Remove images with a prefix from the RBD trash once unused.

    :returns: how many went
    """
    gone = 0
    for entry in list(rbd.RBD().trash_list(ioctx)):
        if not entry['name'].startswith(prefix):
            continue
        try:
            rbd.RBD().trash_remove(ioctx, entry['id'])
            gone += 1
        except (rbd.ImageHasSnapshots, rbd.ImageBusy, rbd.PermissionError):
            LOG.debug('Image %s in trash has clones.', entry['name'])
        except rbd.ImageNotFound:
            pass
    return gone
