# SPDX-License-Identifier: Apache-2.0
"""Cinder's volume manager, for retypes that move between clusters.

``[DEFAULT] volume_manager = cinder_tagged.volume.manager.VolumeManager``

A retype to another tag's type moves the volume. Cinder lets a driver move
it only when the types differ in nothing that the driver would have to
apply. Tags are nothing of that kind: they say where a volume is, and the
scheduler has chosen that already.
"""

from typing import Any

from cinder.volume import manager

from cinder_tagged.volume import retype


class VolumeManager(manager.VolumeManager):  # type: ignore[misc]
    """Lets the driver move a volume when only its features change."""

    def _can_use_driver_migration(self, diff: Any) -> bool:
        if not diff:
            return True
        return bool(super()._can_use_driver_migration(
            retype.without_features(diff)))
