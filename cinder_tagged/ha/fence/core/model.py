# SPDX-License-Identifier: Apache-2.0
"""The state of a shared volume group on this node, as the kernel tells it.

Every value is a snapshot; nothing here is remembered from earlier rounds.
Devices are named by their number ("253:4"), the one name that a rename, an
alias or a udev that is stuck cannot change.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from enum import Enum

from cinder_tagged.ha.fence.core.names import LvIdentity

ERROR = 'error'


@dataclass(frozen=True)
class Volume:
    """An active device of the volume group (a layer counts as one)."""

    name: str
    devno: str
    identity: LvIdentity
    targets: tuple[str, ...]
    below: tuple[str, ...] = ()
    opened: int = 0
    suspended: bool = False
    inactive_table: bool = False

    @property
    def isolated(self) -> bool:
        """No I/O can pass: error targets only, live, nothing half done."""
        return (bool(self.targets) and set(self.targets) == {ERROR}
                and not self.suspended and not self.inactive_table)


@dataclass(frozen=True)
class Path:
    device: str
    active: bool


@dataclass(frozen=True)
class MultipathMap:
    name: str
    wwid: str
    devno: str
    queueing: bool
    paths: tuple[Path, ...]

    @property
    def lost(self) -> bool:
        return not any(path.active for path in self.paths)


@dataclass(frozen=True)
class Disk:
    """A device at the bottom that is no multipath map."""

    name: str
    devno: str
    alive: bool

    @property
    def lost(self) -> bool:
        return not self.alive


@dataclass(frozen=True)
class Lease:
    """sanlock's host lease in the group's lockspace.

    ``age``: seconds since the last renewal that succeeded.
    """

    io_timeout: int
    age: float
    recovering: bool = False


@dataclass(frozen=True)
class VgView:
    """One volume group on this node.

    ``locks`` maps LV uuids to lvmlockd's modes ('ex', 'sh'), or is None
    when lvmlockd has no lockspace for the group.  ``lease`` is None when
    sanlock has none.  ``lock_volume`` is the hidden LV with the leases.
    """

    vg: str
    volumes: tuple[Volume, ...] = ()
    lock_volume: Volume | None = None
    maps: tuple[MultipathMap, ...] = ()
    disks: tuple[Disk, ...] = ()
    locks: Mapping[str, str] | None = None
    lease: Lease | None = None
    lockd_up: bool = True
    sanlock_up: bool = True

    @property
    def wiped(self) -> bool:
        return all(volume.isolated for volume in self.volumes)

    def volume(self, name: str) -> Volume | None:
        return next((v for v in self.volumes if v.name == name), None)

    def map(self, name: str) -> MultipathMap | None:
        return next((m for m in self.maps if m.name == name), None)


class Scope(Enum):
    """How much of a group is cut off."""

    WHOLE = 'whole'
    DEAD_PVS = 'dead-pvs'


@dataclass(frozen=True)
class Order:
    """What a run was asked for.

    ``drop``: let lvmlockd drop the locks at the end (never within
    lvmlockctl's kill command, which drops by itself).  ``forced``: go on
    although storage and leases look sound.
    """

    vg: str
    scope: Scope = Scope.WHOLE
    drop: bool = True
    forced: bool = False
    reason: str = ''


@dataclass(frozen=True)
class VolumeRecord:
    """What must be known of a cut-off volume on the way back."""

    name: str
    lv: str
    uuid: str
    lock_uuid: str
    mode: str
    hidden: bool = False


@dataclass(frozen=True)
class FenceRecord:
    """A run's memory: all that the kernel forgets when a table is wiped."""

    vg: str
    scope: Scope
    reason: str = ''
    volumes: tuple[VolumeRecord, ...] = ()
    # wwid by name, of maps that queued before, and of those beneath at all
    queueing: Mapping[str, str] = field(default_factory=dict)
    maps: Mapping[str, str] = field(default_factory=dict)
    paused: tuple[str, ...] = ()
    finished: bool = False
