# SPDX-License-Identifier: Apache-2.0
"""Have a volume service publish its statistics now, not in a minute."""

from cinder import context
from cinder import rpc
from cinder.common import constants
from cinder.objects import base as objects_base
from cinder.volume import volume_utils
import oslo_messaging as messaging


def publish(host: str) -> bool:
    """Ask the service of ``host`` to publish its capabilities.

    This is the call that a scheduler sends to all services when it starts;
    here it goes to one, our own, which collects the driver's statistics and
    sends them to every scheduler.

    :param host: ``host@backend``
    :returns: False if this process has no message bus
    :raises oslo_messaging.MessagingException: the bus is out of order
    """
    if not rpc.initialized():
        return False
    target = messaging.Target(
        topic=f'{constants.VOLUME_TOPIC}.{host}',
        server=volume_utils.extract_host(host, 'host'))
    client = rpc.get_client(
        target, serializer=objects_base.CinderObjectSerializer())
    client.prepare(version='3.0').cast(
        context.get_admin_context(), 'publish_service_capabilities')
    return True
