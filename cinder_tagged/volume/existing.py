# SPDX-License-Identifier: Apache-2.0
"""An image of the wanted name is there already: ours, or not?

A create that was given up may still have taken effect, and a service may
die between making the image and saying so. The name carries the volume's
UUID, so the image was meant to be this volume; it may be used if nothing
says that anybody has used it since.
"""

import contextlib
import dataclasses
import logging
from typing import Any

from cinder import exception

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class Shape:
    """What is asked of a new image.

    :param size: in bytes
    :param order: its objects have 2**order bytes
    :param features: bits, as librbd counts them
    """

    size: int
    order: int
    features: int


@dataclasses.dataclass(frozen=True, slots=True)
class Found:
    """What an image that is there tells of itself."""

    shape: Shape
    parent: str = ''
    snapshots: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    written: bool = False

    def against(self, wanted: Shape) -> list[str]:
        """List what speaks against taking it for a new image."""
        reasons = [
            f'its {field.name} is {have}, not {want}'
            for field in dataclasses.fields(Shape)
            if (have := getattr(self.shape, field.name))
            != (want := getattr(wanted, field.name))]
        if self.parent:
            reasons.append(f'it is a clone of {self.parent}')
        if self.snapshots:
            reasons.append(f'it has snapshots: {", ".join(self.snapshots)}')
        if self.users:
            reasons.append(f'it is in use by {", ".join(self.users)}')
        if self.written:
            reasons.append('data has been written to it')
        return reasons


def examine(rbd: Any, ioctx: Any, name: str) -> Found | None:
    """Look at an image without changing it.

    :returns: None if only traces of an unfinished create are there
    """
    try:
        image = rbd.Image(ioctx, name, read_only=True)
    except rbd.ImageNotFound:
        return None
    with contextlib.closing(image):
        stat = image.stat()
        extents: list[int] = []
        image.diff_iterate(
            0, stat['size'], None,
            lambda offset, length, exists: extents.append(offset),
            include_parent=False, whole_object=True)
        return Found(
            Shape(stat['size'], stat['order'], image.features()),
            parent=_parent(rbd, image),
            snapshots=tuple(snap['name'] for snap in image.list_snaps()),
            users=tuple(w['addr'] for w in image.watchers_list()),
            written=bool(extents))


def total_size(rbd: Any, ioctx: Any) -> int:
    """Return the size of all images of a pool together, in bytes."""
    total = 0
    for name in rbd.RBD().list(ioctx):
        # Some may go while we count.
        with contextlib.suppress(rbd.ImageNotFound), contextlib.closing(
                rbd.Image(ioctx, name, read_only=True)) as image:
            total += image.size()
    return total


def _parent(rbd: Any, image: Any) -> str:
    try:
        return '{}/{}@{}'.format(*image.parent_info())
    except rbd.ImageNotFound:
        return ''


def take_over(rbd: Any, librbd: Any, ioctx: Any, name: str,
              wanted: Shape) -> None:
    """Use the image that is there, or say why not.

    Of an unfinished create the traces are removed and the image is made.

    :param librbd: an ``rbd.RBD``
    :raises VolumeBackendAPIException: the image is not, or no longer, new
    :raises rbd.ImageExists: another one came into being meanwhile
    """
    found = examine(rbd, ioctx, name)
    if found is None:
        LOG.warning('Image %s is there only in part, from a create that was '
                    'cut short; it is removed and made again.', name)
        with contextlib.suppress(rbd.ImageNotFound):
            librbd.remove(ioctx, name)
        librbd.create(ioctx, name, wanted.size, wanted.order,
                      old_format=False, features=wanted.features)
        return
    reasons = found.against(wanted)
    if reasons:
        raise exception.VolumeBackendAPIException(
            data=f'image {name} exists and is not a new one: '
                 f'{"; ".join(reasons)}. It was left as it is; rename or '
                 'remove it if nobody needs it')
    LOG.info('Image %(name)s was there already, from an earlier try: '
             '%(found)s. Nobody has used it, so it is taken over.',
             {'name': name, 'found': found})
