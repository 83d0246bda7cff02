# SPDX-License-Identifier: Apache-2.0
"""Which volumes stand on which, and which of them stand on dead storage."""

from collections.abc import Iterable

from cinder_tagged.ha.fence.core.model import Disk
from cinder_tagged.ha.fence.core.model import MultipathMap
from cinder_tagged.ha.fence.core.model import Scope
from cinder_tagged.ha.fence.core.model import VgView
from cinder_tagged.ha.fence.core.model import Volume

REDUNDANT = frozenset({'raid', 'mirror'})


def bases(view: VgView) -> tuple[MultipathMap | Disk, ...]:
    return (*view.maps, *view.disks)


def leaves_below(volume: Volume, view: VgView) -> frozenset[str]:
    """Return the devices outside the group that a volume stands on."""
    own = {v.devno: v for v in view.volumes}
    leaves: set[str] = set()
    seen: set[str] = set()
    todo = list(volume.below)
    while todo:
        devno = todo.pop()
        if devno in seen:
            continue
        seen.add(devno)
        if devno in own:
            todo.extend(own[devno].below)
        else:
            leaves.add(devno)
    return frozenset(leaves)


def above(volume: Volume, volumes: Iterable[Volume]) -> list[Volume]:
    """Return the group's volumes that stand directly on this one."""
    return [v for v in volumes if volume.devno in v.below]


def _spared(view: VgView, dead: frozenset[str]) -> set[str]:
    """Return raid volumes with a living leg, and all beneath them."""
    own = {v.devno: v for v in view.volumes}
    spared: set[str] = set()
    for volume in view.volumes:
        if not REDUNDANT.intersection(volume.targets):
            continue
        if leaves_below(volume, view) <= dead:
            continue
        todo = [volume.devno]
        while todo:
            devno = todo.pop()
            if devno in own and devno not in spared:
                spared.add(devno)
                todo.extend(own[devno].below)
    return spared


def doomed(view: VgView, scope: Scope) -> tuple[Volume, ...]:
    """Return the volumes to cut off; the lock volume is never one.

    With some physical volumes lost, a volume that needs any of them goes;
    raid that has a living leg stays, since it handles errors by itself.
    """
    if scope is Scope.WHOLE:
        return view.volumes
    dead = frozenset(b.devno for b in bases(view) if b.lost)
    spared = _spared(view, dead)
    return tuple(
        v for v in view.volumes
        if v.isolated
        or (v.devno not in spared and leaves_below(v, view) & dead))


def lock_base(view: VgView) -> tuple[MultipathMap | Disk, ...]:
    """Return the devices that hold the group's leases."""
    if view.lock_volume is None:
        return ()
    below = set(view.lock_volume.below)
    return tuple(b for b in bases(view) if b.devno in below)


def lock_of(volume: Volume, view: VgView) -> tuple[str, str]:
    """Return (uuid, mode) of the lock that guards a volume.

    A thin volume is guarded by its pool's lock, found further down; ('',
    '') when lvmlockd lists none.
    """
    own = {v.devno: v for v in view.volumes}
    todo = [volume]
    seen: set[str] = set()
    while todo:
        current = todo.pop(0)
        mode = (view.locks or {}).get(current.identity.uuid)
        if mode:
            return current.identity.uuid, mode
        seen.add(current.devno)
        todo.extend(own[d] for d in current.below
                    if d in own and d not in seen)
    return '', ''
