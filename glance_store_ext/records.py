# SPDX-License-Identifier: Apache-2.0
"""What Glance knows of an image whose data is coming.

``Store.add()`` is told the image's id and nothing of its properties, so the
record is read in this process, from Glance's own database.
"""

from typing import Any

from glance import context as glance_context
from glance.common import exception
import glance.db
from oslo_log import log as logging

from glance_store_ext import wish

LOG = logging.getLogger(__name__)


def of(context: Any, image_id: str) -> wish.Record:
    """Return the record of an image; an empty one if it is not visible.

    :param context: of the request or of the import task
    """
    try:
        return wish.Record.of(glance.db.get_api().image_get(
            context, image_id))
    except (exception.NotFound, exception.Forbidden):
        LOG.warning('Image %s is not visible to its own upload; its '
                    'property "%s" is not known', image_id, wish.PROPERTY)
        return wish.Record()


def addresses(image_id: str) -> tuple[str, ...]:
    """Return where the data of an image is; nothing for a deleted one."""
    everything = glance_context.get_admin_context()
    try:
        image = glance.db.get_api().image_get(everything, image_id)
    except exception.NotFound:
        return ()
    return tuple(location['url'] for location in image['locations'])
