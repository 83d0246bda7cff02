# SPDX-License-Identifier: Apache-2.0
"""Having Cinder make the volume: once, at installation.

The name of the RBD image is kept in the pool, so nothing asks Cinder, which
the platform may manage, when the platform starts.
"""

import logging
import time
from typing import Any

from cinder_tagged.ha.platform import exceptions

LOG = logging.getLogger(__name__)

#: Metadata that marks the volume of a platform.
MARK = 'cinder_tagged_platform'


def allot(cloud: Any, name: str, gib: int, volume_type: str,
          deadline: float) -> tuple[str, str]:
    """Return (pool, image) of the platform's volume; made if missing.

    :param cloud: an openstack.connection.Connection
    :param volume_type: type of the feature tag that it must have
    :raises PlatformError: Cinder did not make it in time
    """
    storage = cloud.block_storage
    marked = [v for v in storage.volumes(details=True)
              if v.metadata.get(MARK) == name]
    if len(marked) > 1:
        raise exceptions.PlatformError(
            f'{len(marked)} volumes have the metadata {MARK}={name}: take it '
            'off all but the right one')
    volume = marked[0] if marked else storage.create_volume(
        name=f'platform-{name}', size=gib, volume_type=volume_type,
        metadata={MARK: name})
    end = time.monotonic() + deadline
    while volume.status == 'creating' and time.monotonic() < end:
        time.sleep(0.5)
        volume = storage.get_volume(volume.id)
    if volume.status not in ('available', 'reserved', 'attaching', 'in-use'):
        raise exceptions.PlatformError(
            f'volume {volume.id} is {volume.status}: see "openstack volume '
            f'message list", delete it, and try again')
    return _location(storage, volume)


def _location(storage: Any, volume: Any) -> tuple[str, str]:
    """Ask Cinder where it is; the attachment keeps others off it."""
    attached = [a for a in storage.attachments(volume_id=volume.id)
                if a.volume_id == volume.id]
    # Without an instance: the key alone, even with None, is refused.
    attachment = attached[0] if attached else storage.create_attachment(
        volume, connector={'host': 'cinder-tagged-platform',
                           'multipath': False, 'initiator': '', 'ip': ''})
    attachment = storage.get_attachment(attachment.id)
    name = (attachment.connection_info or {}).get('name', '')
    pool, _, image = name.partition('/')
    if not image:
        raise exceptions.PlatformError(
            f'volume {volume.id} is not on RBD, or its attachment '
            f'{attachment.id} was broken off: choose a type that leads to '
            'Ceph, or delete the attachment, and try again')
    if attachment.status != 'attached' or volume.status != 'in-use':
        storage.complete_attachment(attachment.id)
    LOG.info('Volume %s of %d GiB is %s', volume.id, volume.size, name)
    return pool, image
