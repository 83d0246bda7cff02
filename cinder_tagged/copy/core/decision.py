# SPDX-License-Identifier: Apache-2.0
"""Which copies may be used, and which are removed."""

import dataclasses
import enum

from cinder_tagged.copy.core.record import is_seed
from cinder_tagged.copy.core.record import Record
from cinder_tagged.copy.core.record import State


@dataclasses.dataclass(frozen=True, slots=True)
class Found:
    """The image that stands under the name of a copy.

    :param snap_id: of its seed snapshot; None without one
    """

    image_id: str
    size: int
    snap_id: int | None


def intact(record: Record | None, found: Found | None,
           digest: str = '') -> bool:
    """Tell whether a copy may be used.

    It may when the record says READY and the image that stands there is
    the very image, snapshot and size that was recorded. An image that
    somebody removed and made again by hand has another id.

    :param digest: of the original as it is now, '' when unknown
    """
    if record is None or found is None or record.state != State.READY:
        return False
    if digest and record.digest and digest != record.digest:
        return False
    return (record.image_id == found.image_id
            and record.size == found.size
            and record.snap_id == found.snap_id)


class Fate(enum.Enum):
    """What a sweep does with a copy."""

    KEEP = 'keep'
    REMOVE = 'remove'
    FORGET = 'forget'


def fate(record: Record, *, dropped: bool, clones: int, age_s: float,
         grace_s: float) -> Fate:
    """Decide about a copy that nobody wants, and whose lease is free.

    A seed that clones stand on stays, whatever becomes of its image: they
    need it, and removing it would give no space back. The copy of a volume
    that was moved is the volume once it is READY: then only its record
    goes, when nobody will ask for it any more.

    :param dropped: whether the copy of a volume was not taken into use
    :param age_s: seconds since the copy began
    :param grace_s: for which the record of a moved volume is kept
    """
    if record.state == State.COPYING:
        return Fate.REMOVE
    if not is_seed(record.target):
        if dropped:
            return Fate.REMOVE
        return Fate.FORGET if age_s > grace_s else Fate.KEEP
    return Fate.KEEP if clones else Fate.REMOVE
