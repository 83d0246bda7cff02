# SPDX-License-Identifier: Apache-2.0
"""What is on a volume, judged from what tools said of it."""

from collections.abc import Mapping

from cinder_tagged.ha.platform.core import model as m
from cinder_tagged.ha.platform.core import record as rec

OURS = 'ext4'


def judge(found: Mapping[str, str] | None, allocated: bool,
          history: rec.Format) -> m.FileSystem:
    """Say what the volume holds.

    A volume is empty only if it was never formatted by us, has no signature
    and no byte of it was ever written.  After an interrupted format it may be
    formatted again: nothing is mounted before that is recorded as done.

    :param found: fields of blkid; empty if it knows nothing, None if it
        could not read or is not sure
    :param allocated: whether the image has any object
    """
    if found is None:
        return m.FileSystem.UNREADABLE
    if history is rec.Format.BEGUN:
        return m.FileSystem.EMPTY
    if found.get('TYPE') == OURS:
        return m.FileSystem.UNCHECKED
    if history is rec.Format.DONE:
        return m.FileSystem.CORRUPT
    if found or allocated:
        return m.FileSystem.FOREIGN
    return m.FileSystem.EMPTY


def after_check(status: int) -> m.FileSystem:
    """Say what the exit status of e2fsck means."""
    if status in (0, 1):
        return m.FileSystem.SOUND
    if status in (2, 3):  # repaired; the device is not mounted, so no reboot
        return m.FileSystem.SOUND
    return (m.FileSystem.CORRUPT if status & 4
            else m.FileSystem.UNREADABLE)
