# SPDX-License-Identifier: Apache-2.0
"""Flavors and images, asked of Nova in its own process.

This is the only module that imports Nova; the filter gets it from its
factory.
"""

from typing import Any

from nova import exception
from nova import objects
from nova.image import glance

from nova_hooks import rewrite


def flavor(context: Any, reference: str) -> rewrite.Flavor | None:
    """Return a flavor, or None for Nova to say what is wrong with it."""
    try:
        found = objects.Flavor.get_by_flavor_id(
            context, rewrite.id_of(reference), read_deleted='no')
    except exception.NovaException:
        return None
    return rewrite.Flavor(int(found.root_gb or 0),
                          dict(found.extra_specs or {}))


def image(context: Any, image_id: str) -> rewrite.Image | None:
    """Return an image, or None for Nova to say what is wrong with it."""
    try:
        found = glance.API().get(context, image_id)
    except exception.NovaException:
        return None
    return rewrite.Image(
        image_id, int(found.get('min_disk') or 0),
        int(found.get('size') or 0), int(found.get('virtual_size') or 0),
        found.get('properties') or {})
