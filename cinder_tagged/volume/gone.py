# SPDX-License-Identifier: Apache-2.0
"""Which Glance images exist no more."""

from collections.abc import Iterable
import logging
from typing import Any

from cinder import service_auth
from glanceclient import client as glance_client
from glanceclient import exc as glance_exc
from keystoneauth1 import exceptions as ks_exc
from keystoneauth1 import loading as ks_loading
from oslo_config import cfg

CONF = cfg.CONF
CONF.import_opt('glance_api_servers', 'cinder.common.config')
# Of cinder.image.glance, which can only be imported through this one.
CONF.import_opt('glance_catalog_info', 'cinder.image.image_utils')
LOG = logging.getLogger(__name__)

_DELETED = ('deleted', 'pending_delete')
_TIMEOUT_S = 30


def among(images: Iterable[str]) -> list[str]:
    """Return those of the images that Glance says are gone.

    Asks as the user of ``[service_user]``. One that cannot be asked about
    counts as there.
    """
    images = list(images)
    if not images or not CONF.service_user.auth_type:
        return []
    try:
        catalogue = _connect()
        return [image for image in images if _is_gone(catalogue, image)]
    except (ks_exc.ClientException, glance_exc.HTTPException,
            glance_exc.ClientException) as exc:
        LOG.warning('Glance was not asked which images are gone: %s', exc)
        return []


def _connect() -> Any:
    group = service_auth.SERVICE_USER_GROUP
    auth = ks_loading.load_auth_from_conf_options(CONF, group)
    session = ks_loading.load_session_from_conf_options(
        CONF, group, auth=auth, timeout=_TIMEOUT_S)
    servers = CONF.glance_api_servers
    endpoint = servers[0] if servers else None
    if endpoint and '//' not in endpoint:
        endpoint = f'http://{endpoint}'
    service_type, _name, interface = CONF.glance_catalog_info.split(':')
    return glance_client.Client(
        '2', session=session, endpoint_override=endpoint,
        service_type=service_type, interface=interface)


def _is_gone(catalogue: Any, image: str) -> bool:
    try:
        return catalogue.images.get(image).status in _DELETED
    except glance_exc.HTTPNotFound:
        return True
