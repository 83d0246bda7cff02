# SPDX-License-Identifier: Apache-2.0
"""Why a volume cannot be moved now, by what REST says of it. Pure.

Cinder refuses most of these itself, but with one sentence for all of them.
"""

from collections.abc import Mapping
from typing import Any

from cinder_tagged.moves import model

_REPLICATION = (None, '', 'disabled', 'not-capable')
# Key by which the image store marks the volumes of images.
IMAGE_KEY = 'glance_image_id'


def obstacle(answer: Mapping[str, Any], snapshots: int) -> str:
    """Return why a volume stays; '' if nothing is in its way.

    :param answer: the volume, as ``/volumes/detail`` gives it
    :param snapshots: how many it has
    """
    status = answer['status']
    if answer.get('migration_status') in model.UNDER_WAY:
        return 'it is being moved already'
    if answer.get('attachments') or status == 'in-use':
        return _attached(answer)
    if status != 'available':
        return f'it is {status}'
    if image := (answer.get('metadata') or {}).get(IMAGE_KEY):
        return (f'it is image {image} of Glance; import the image into '
                'another store and delete it here')
    if snapshots:
        return (f'it has {snapshots} snapshot{"s" * (snapshots > 1)}, which '
                'cannot go along; delete them first')
    if answer.get('group_id') or answer.get('consistencygroup_id'):
        return 'it is in a group of volumes; take it out first'
    if answer.get('replication_status') not in _REPLICATION:
        return 'it is replicated; disable its replication first'
    return ''


def _attached(answer: Mapping[str, Any]) -> str:
    servers = sorted({found['server_id']
                      for found in answer.get('attachments') or ()
                      if found.get('server_id')})
    to = f' to server {", ".join(servers)}' if servers else ''
    return (f'it is attached{to}; detach it, or let Nova move it with '
            '"openstack volume migrate"')
