# SPDX-License-Identifier: Apache-2.0
"""What a retype changes beside the place of a volume."""

from collections.abc import Mapping
from typing import Any

_PREFIX = 'feature:'


def without_features(diff: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a difference of types without what only places a volume.

    :param diff: as ``cinder.volume.volume_types`` gives it: old and new
        value by key, by kind of setting
    """
    left = dict(diff or {})
    left['extra_specs'] = {
        key: pair for key, pair in (left.get('extra_specs') or {}).items()
        if not key.startswith(_PREFIX) and pair[0] != pair[1]}
    return left
