# SPDX-License-Identifier: Apache-2.0
"""Read a scheduler request: Cinder's filter properties as a placement one."""

from collections.abc import Mapping
from typing import Any

from cinder_tagged import placement

Properties = Mapping[str, Any]

#: Where the filter properties carry the fsids of the clusters that the
#: request's image is in, and how much less loaded they count (0 to 1).
HOLDERS = 'feature_image_holders'
PREFERENCE = 'feature_image_preference'


def request_of(properties: Properties) -> placement.Request:
    """Return what Cinder asks for.

    :param properties: the filter properties of a request
    :raises ExpressionError: the type or the hint cannot be read
    """
    specs = extra_specs(properties)
    return placement.Request(
        size_gb=size_of(properties),
        require=placement.requirement(specs,
                                      properties.get('scheduler_hints')),
        excluded=frozenset((properties.get('retry') or {})
                           .get('backends') or ()),
        present_on=properties.get('vol_exists_on'),
        thin=placement.is_thin(specs),
        image_id=image_of(properties),
        holders=frozenset(properties.get(HOLDERS) or ()),
        preference=float(properties.get(PREFERENCE) or 0))


def extra_specs(properties: Properties) -> Mapping[str, str]:
    """Return the extra specs of the request's volume type."""
    volume_type = properties.get('volume_type') or {}
    return volume_type.get('extra_specs') or {}


def size_of(properties: Properties) -> float:
    """Return how many GiB the request adds; only the growth, if it grows."""
    size = int(properties.get('size') or 0)
    if properties.get('new_size'):
        return int(properties['new_size']) - size
    return size


def spec_of(properties: Properties) -> Mapping[str, Any]:
    """Return Cinder's request spec."""
    return properties.get('request_spec') or {}


def image_of(properties: Properties) -> str | None:
    """Return the image that a volume is to be made from, if it is."""
    if operation_of(properties) != 'create_volume':
        return None
    return spec_of(properties).get('image_id')


def operation_of(properties: Properties) -> str:
    """Return the scheduler's operation, such as ``create_volume``.

    Cinder notes it in the request spec, but not for a volume's creation: the
    decorator that notes it looks for the spec among the keyword arguments,
    and the one around it (``Volume.set_workers``) passes all by position.
    """
    spec = spec_of(properties)
    return spec.get('operation') or (
        'create_volume' if spec.get('volume_id') else '')


def volume_id_of(properties: Properties) -> str | None:
    """Return the volume that the request is about, if it is about one."""
    return spec_of(properties).get('volume_id')


def required_backend(properties: Properties) -> str | None:
    """Return the one backend that may serve the request, if it names one.

    A volume made from a snapshot, another volume or in a group has to be
    where they are. The name may lack its pool.
    """
    return spec_of(properties).get('resource_backend')
