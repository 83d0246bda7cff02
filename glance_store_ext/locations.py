# SPDX-License-Identifier: Apache-2.0
"""Addresses of images: ``rbd://FSID/POOL/IMAGE/SNAPSHOT``.

The same form as that of Glance's own RBD store, so that Cinder and Nova
clone from it without a copy. The names of RBD image and snapshot carry the
ids of the volume and the snapshot in Cinder.
"""

import dataclasses
import re
from urllib import parse

PREFIX = 'rbd://'
_ID = re.compile(r'[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}')


class LocationError(ValueError):
    """An address is not one of ours."""


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """A snapshot of an RBD image in one of the clusters."""

    fsid: str
    pool: str
    image: str
    snapshot: str

    @property
    def uri(self) -> str:
        """The address."""
        return PREFIX + '/'.join(parse.quote(part, '') for part in (
            self.fsid, self.pool, self.image, self.snapshot))

    @property
    def volume_id(self) -> str | None:
        """Id of the volume in Cinder, if the name carries one."""
        return _id_in(self.image)

    @property
    def snapshot_id(self) -> str | None:
        """Id of the snapshot in Cinder, if the name carries one."""
        return _id_in(self.snapshot)


def read(uri: str) -> Place:
    """Read an address.

    :raises LocationError: it has another form
    """
    parts = uri.removeprefix(PREFIX).split('/')
    if not uri.startswith(PREFIX) or len(parts) != 4 or not all(parts):
        raise LocationError(
            f'{uri}: an image of this store has an address of the form '
            'rbd://FSID/POOL/IMAGE/SNAPSHOT')
    return Place(*map(parse.unquote, parts))


def _id_in(name: str) -> str | None:
    found = _ID.findall(name)
    return found[-1] if found else None
