# SPDX-License-Identifier: Apache-2.0
"""Where the bytes of a Glance image can be had, best place first."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses
import logging
from typing import Any
import urllib.parse

from cinder_tagged.ceph.connection import Identity
from cinder_tagged.copy import spec
from cinder_tagged.copy.seeds import Original

LOG = logging.getLogger(__name__)

Download = Callable[[], Iterable[bytes]]
Find = Callable[[str], Identity | None]

_PREFIX = 'rbd://'


@dataclasses.dataclass(frozen=True, slots=True)
class Location:
    """An address of the form rbd://FSID/POOL/IMAGE/SNAPSHOT."""

    fsid: str
    pool: str
    image: str
    snapshot: str


def parse(url: str | None) -> Location | None:
    """Read an address; None if it is another kind of address."""
    if not url or not url.startswith(_PREFIX):
        return None
    pieces = [urllib.parse.unquote(piece)
              for piece in url[len(_PREFIX):].split('/')]
    if len(pieces) != 4 or not all(pieces):
        return None
    return Location(*pieces)


def urls(image_location: Any) -> list[str]:
    """Return the addresses that Cinder got from Glance.

    :param image_location: the direct URL, and all locations or None, as
        the volume manager hands it to drivers
    """
    if not image_location:
        return []
    direct, locations = image_location
    found = [location['url'] for location in locations or ()]
    return found or [direct]


def unfit(image_meta: Mapping[str, Any], verify: str) -> str:
    """Say why an image cannot be had as a seed; '' if it can.

    :param verify: Cinder's option ``verify_glance_signatures``
    """
    properties = image_meta.get('properties') or {}
    if image_meta.get('disk_format') not in set(spec.Format):
        return f'its format is {image_meta.get("disk_format")}'
    if image_meta.get('container_format') not in (None, 'bare'):
        return f'it is in a container: {image_meta["container_format"]}'
    if properties.get('cinder_encryption_key_id'):
        return 'it is encrypted'
    if verify != 'disabled' and properties.get('img_signature'):
        return 'its signature is verified while it is downloaded'
    if not image_meta.get('size'):
        return 'its size is not known'
    return ''


def _begun(download: Download) -> Iterator[bytes]:
    """Begin a download only when its first bytes are asked for."""
    yield from download()


def candidates(image_meta: Mapping[str, Any], image_location: Any,
               find: Find, download: Download, limit: int,
               ) -> Iterator[Original]:
    """Yield what a seed can be made of: RBD first, then Glance.

    :param find: tells whom to connect to for a cluster
    :param limit: bytes that fit into the volume
    """
    whole = Original(
        image=image_meta['id'],
        digest=str(image_meta.get('os_hash_value')
                   or image_meta.get('checksum') or ''),
        size=int(image_meta['size']),
        format=spec.Format(image_meta['disk_format']), limit=limit)
    for where in filter(None, map(parse, urls(image_location))):
        identity = find(where.fsid)
        if identity is None:
            LOG.debug('Cluster %s of image %s is not known here.',
                      where.fsid, whole.image)
            continue
        yield dataclasses.replace(whole, source=spec.RbdImage(
            spec.Place(identity, where.pool), where.image, where.snapshot))
    yield dataclasses.replace(whole, data=lambda: _begun(download))
