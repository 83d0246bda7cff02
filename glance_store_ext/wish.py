# SPDX-License-Identifier: Apache-2.0
"""What an image asks of placement, and how large its block device is."""

from collections.abc import Mapping
import dataclasses
import json
import math
from typing import Any

from cinder_tagged import features
from cinder_tagged.placement import request

GIB = 1024 ** 3
#: Image property that names a feature.
PROPERTY = request.HINT


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """What Glance knows of an image before its data comes.

    :param feature: value of the image property, None without one
    :param size: bytes, 0 if not known
    """

    feature: str | None = None
    size: int = 0

    @classmethod
    def of(cls, image: Mapping[str, Any]) -> 'Record':
        """Read a row of Glance's database."""
        named = [entry['value'] for entry in image.get('properties') or ()
                 if entry['name'] == PROPERTY and not entry.get('deleted')]
        return cls(named[0] if named else None, int(image.get('size') or 0))


def join(store: str | None, image: str | None) -> features.Expression | None:
    """Join what the store and the image ask for; both must hold.

    :returns: None where neither asks for a feature
    :raises ExpressionError: one of them cannot be read
    """
    return request.requirement(
        None, {request.HINT: [text for text in (store, image)
                              if text is not None]})


def chooses_stores(body: bytes) -> bool:
    """Tell whether an import request names stores or is not readable."""
    try:
        asked = json.loads(body)
        return bool(asked.get('stores') or asked.get('all_stores'))
    except (ValueError, AttributeError, RecursionError):
        return True


def volume_gib(size: int) -> int:
    """Return the size of the volume that holds an image, in GiB."""
    return max(1, math.ceil(size / GIB))


def grown(size: int, needed: int) -> int:
    """Return the next size of a block device whose end is not known.

    :param size: what it has, in bytes
    :param needed: what must fit, in bytes
    :returns: whole GiB; doubled, but never by more than 64 GiB at once, so
        that few calls suffice and little is cut off at the end
    """
    step = min(max(size, GIB), 64 * GIB)
    return max(size + step, volume_gib(needed) * GIB)
