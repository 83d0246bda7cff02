# SPDX-License-Identifier: Apache-2.0
"""Raw facts of a node, and the view of one volume group made of them."""

from collections.abc import Iterable
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field

from cinder_tagged.ha.fence.core import names
from cinder_tagged.ha.fence.core.model import Disk
from cinder_tagged.ha.fence.core.model import FenceRecord
from cinder_tagged.ha.fence.core.model import Lease
from cinder_tagged.ha.fence.core.model import MultipathMap
from cinder_tagged.ha.fence.core.model import Path
from cinder_tagged.ha.fence.core.model import VgView
from cinder_tagged.ha.fence.core.model import Volume

# States of a block device that still answers; virtio and dm have none.
ALIVE = frozenset({'', 'running', 'live', 'created', 'created-blocked'})


@dataclass(frozen=True)
class DmDevice:
    name: str
    uuid: str
    devno: str
    opened: int = 0
    suspended: bool = False
    inactive_table: bool = False
    targets: tuple[str, ...] = ()
    below: tuple[str, ...] = ()
    queueing: bool = False
    paths: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Block:
    """A block device as sysfs (or lsblk, out of sysfs) shows it."""

    name: str
    devno: str
    kind: str
    state: str = ''
    below: tuple[str, ...] = ()


@dataclass(frozen=True)
class Lockspaces:
    """lvmlockd: modes of LV locks by LV uuid, by volume group."""

    up: bool = True
    locks: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Leases:
    """sanlock: the host lease by volume group."""

    up: bool = True
    leases: Mapping[str, Lease] = field(default_factory=dict)


@dataclass(frozen=True)
class Facts:
    devices: tuple[DmDevice, ...]
    blocks: Mapping[str, Block]
    lockspaces: Lockspaces = field(default_factory=Lockspaces)
    leases: Leases = field(default_factory=Leases)


def bottoms(devices: Iterable[DmDevice]) -> frozenset[str]:
    """Return the devices beneath device-mapper; paths of maps aside."""
    known = tuple(devices)
    return frozenset(
        number for device in known if not _is_map(device)
        for number in device.below) - {d.devno for d in known}


def groups(facts: Facts) -> tuple[str, ...]:
    """Return the shared volume groups that this node takes part in."""
    found = set(facts.lockspaces.locks) | set(facts.leases.leases)
    for device in facts.devices:
        identity = names.identify(device.name, device.uuid)
        if identity and identity.is_lock:
            found.add(identity.vg)
    return tuple(sorted(found))


def view_of(
    facts: Facts, vg: str, record: FenceRecord | None = None,
) -> VgView:
    """Return the view of one group; no other group's device is in it.

    The record names maps whose volumes were all wiped: their tables no
    longer tell what they stood on.
    """
    members = _members(facts.devices, vg)
    dm = {d.devno: d for d in facts.devices}
    own = {v.devno for v in members}
    volumes = tuple(_with_bases(v, own, dm, facts.blocks) for v in members)
    remembered = set(record.maps.values()) if record else set()
    wanted = {d for v in volumes for d in v.below if d not in own}
    wanted |= {d.devno for d in facts.devices
               if d.uuid.removeprefix('mpath-') in remembered
               and d.uuid.startswith('mpath-')}
    maps = tuple(_map(dm[d]) for d in sorted(wanted)
                 if d in dm and _is_map(dm[d]))
    disks = tuple(_disk(d, facts.blocks) for d in sorted(wanted)
                  if d not in dm)
    plain = tuple(v for v in volumes if not v.identity.is_lock)
    return VgView(
        vg=vg, volumes=plain,
        lock_volume=next((v for v in volumes if v.identity.is_lock), None),
        maps=maps, disks=disks,
        locks=facts.lockspaces.locks.get(vg),
        lease=facts.leases.leases.get(vg),
        lockd_up=facts.lockspaces.up, sanlock_up=facts.leases.up)


def _members(devices: Iterable[DmDevice], vg: str) -> list[Volume]:
    members = []
    for device in devices:
        identity = names.identify(device.name, device.uuid)
        if identity is None or identity.vg != vg:
            continue
        members.append(Volume(
            name=device.name, devno=device.devno, identity=identity,
            targets=device.targets, below=device.below,
            opened=device.opened, suspended=device.suspended,
            inactive_table=device.inactive_table))
    return members


def _is_map(device: DmDevice) -> bool:
    return device.uuid.startswith('mpath-')


def _with_bases(
    volume: Volume, own: set[str], dm: Mapping[str, DmDevice],
    blocks: Mapping[str, Block],
) -> Volume:
    """Look through partitions and the like, down to a map or a disk."""
    bases: dict[str, None] = {}
    todo = list(volume.below)
    while todo:
        devno = todo.pop(0)
        device = dm.get(devno)
        if devno in own or (device and _is_map(device)):
            bases[devno] = None
            continue
        below = device.below if device else (
            blocks[devno].below if devno in blocks else ())
        if below:
            todo.extend(below)
        elif not device:
            bases[devno] = None
    return Volume(
        name=volume.name, devno=volume.devno, identity=volume.identity,
        targets=volume.targets, below=tuple(bases), opened=volume.opened,
        suspended=volume.suspended, inactive_table=volume.inactive_table)


def _map(device: DmDevice) -> MultipathMap:
    return MultipathMap(
        name=device.name, wwid=device.uuid.removeprefix('mpath-'),
        devno=device.devno, queueing=device.queueing, paths=device.paths)


def _disk(devno: str, blocks: Mapping[str, Block]) -> Disk:
    """A device that sysfs no longer has was removed under its user."""
    block = blocks.get(devno)
    if block is None:
        return Disk(devno, devno, alive=False)
    return Disk(block.name, devno, alive=block.state in ALIVE)
