# SPDX-License-Identifier: Apache-2.0
"""The way back without a reboot, decided anew from what the node shows.

Invariant: a volume's real table is loaded only out of a view in which
lvmlockd holds that volume's lock on this node.  A volume whose lock another
node took meanwhile stays on its error target and is reported; refreshing it
would let the old writer write over the new owner's data.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from cinder_tagged.ha.fence.core import layers
from cinder_tagged.ha.fence.core.model import FenceRecord
from cinder_tagged.ha.fence.core.model import Scope
from cinder_tagged.ha.fence.core.model import VgView
from cinder_tagged.ha.fence.core.model import VolumeRecord

# A start of the lockspace races with udev and may fail at first.
START_TRIES = 5
ACTIVATE_TRIES = 3
QUEUEING_TRIES = 3


@dataclass(frozen=True)
class RestoreQueueing:
    map: str
    wwid: str

    @property
    def key(self) -> str:
        return f'queueing:{self.map}'

    def __str__(self) -> str:
        return f'let {self.map} queue again as configured'


@dataclass(frozen=True)
class RemoveStale:
    """An error device that nobody holds; activation makes it anew."""

    volume: str

    @property
    def key(self) -> str:
        return f'remove:{self.volume}'

    def __str__(self) -> str:
        return f'remove the unused error device {self.volume}'


@dataclass(frozen=True)
class StartLocks:
    vg: str

    @property
    def key(self) -> str:
        return f'start:{self.vg}'

    def __str__(self) -> str:
        return f'join the lockspace of {self.vg}'


@dataclass(frozen=True)
class Activate:
    vg: str
    lv: str
    uuid: str
    mode: str

    @property
    def key(self) -> str:
        return f'activate:{self.uuid}'

    def __str__(self) -> str:
        return f'take the {self.mode} lock of {self.vg}/{self.lv}'


@dataclass(frozen=True)
class Refresh:
    vg: str
    lv: str
    uuid: str

    @property
    def key(self) -> str:
        return f'refresh:{self.uuid}'

    def __str__(self) -> str:
        return f'load the real table of {self.vg}/{self.lv}'


class Result(Enum):
    RECOVERED = 'recovered'
    IN_PART = 'recovered in part'
    PATHS_DOWN = 'paths still lost'
    FAILED = 'failed'


@dataclass(frozen=True)
class Recovered:
    """The end: which LVs are back, which another node has, which failed."""

    result: Result
    back: tuple[str, ...] = ()
    taken: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    detail: str = ''

    @property
    def key(self) -> str:
        return 'recovered'

    def __str__(self) -> str:
        parts = [self.result.value, self.detail]
        for word, names in (('back', self.back), ('elsewhere', self.taken),
                            ('failed', self.failed)):
            if names:
                parts.append(f'{word}: {", ".join(names)}')
        return '; '.join(part for part in parts if part)


RecoveryStep = (RestoreQueueing | RemoveStale | StartLocks | Activate
                | Refresh | Recovered)


def next_step(
    view: VgView, record: FenceRecord, tries: Mapping[str, int],
    taken: frozenset[str] = frozenset(),
) -> RecoveryStep:
    """Return the one step that the view calls for.

    ``taken``: uuids of the LVs whose lock another node was seen to hold.
    """
    lost = [m.name for m in view.maps if m.lost]
    if view.locks is not None:
        lost += [d.name for d in view.disks if d.lost]
    missing = [name for name in record.maps if view.map(name) is None]
    if lost or missing:
        return Recovered(
            Result.PATHS_DOWN, detail=', '.join(sorted([*lost, *missing])))
    step = (_queueing(view, record, tries)
            or _lockspace(view, record, tries)
            or _volumes(view, record, tries, taken))
    return step or _summary(view, record, taken)


def _queueing(
    view: VgView, record: FenceRecord, tries: Mapping[str, int],
) -> RecoveryStep | None:
    for name, wwid in record.queueing.items():
        found = view.map(name)
        step = RestoreQueueing(name, wwid)
        # The override must go even where the map queues by itself again.
        done = tries.get(step.key, 0)
        if found and (done == 0 or (
                not found.queueing and done < QUEUEING_TRIES)):
            return step
    return None


def _lockspace(
    view: VgView, record: FenceRecord, tries: Mapping[str, int],
) -> RecoveryStep | None:
    if view.locks is not None and view.lease is not None:
        return None
    if record.scope is Scope.DEAD_PVS and view.locks is not None:
        return None
    stale = [v for v in view.volumes if v.isolated and not v.opened]
    lock = view.lock_volume
    if lock and (lock.isolated or any(
            d.lost for d in view.disks if d.devno in lock.below)):
        # A disk that came back has another number than the table's.
        stale.append(lock)
    stale = [v for v in stale
             if not tries.get(RemoveStale(v.name).key, 0)]
    if stale:
        tops = [v for v in stale if not layers.above(v, stale)]
        return RemoveStale((tops or stale)[0].name)
    start = StartLocks(view.vg)
    if tries.get(start.key, 0) < START_TRIES:
        return start
    return Recovered(
        Result.FAILED, detail=f'the lockspace of {view.vg} does not start')


def _volumes(
    view: VgView, record: FenceRecord, tries: Mapping[str, int],
    taken: frozenset[str],
) -> RecoveryStep | None:
    for volume in record.volumes:
        if volume.hidden or volume.uuid in taken:
            continue
        if not _locked(view, volume):
            step: RecoveryStep = Activate(
                view.vg, volume.lv, volume.uuid, volume.mode or 'ex')
            limit = ACTIVATE_TRIES
        elif not _live(view, volume):
            found = view.volume(volume.name)
            if found is None:
                step = Activate(
                    view.vg, volume.lv, volume.uuid, volume.mode or 'ex')
            else:
                step = Refresh(view.vg, volume.lv, volume.uuid)
            limit = 2 * ACTIVATE_TRIES
        else:
            continue
        if tries.get(step.key, 0) < limit:
            return step
    return None


def _locked(view: VgView, volume: VolumeRecord) -> bool:
    lock = volume.lock_uuid or volume.uuid
    return (view.locks or {}).get(lock, 'un') in ('ex', 'sh')


def _live(view: VgView, volume: VolumeRecord) -> bool:
    found = view.volume(volume.name)
    return found is not None and not found.isolated


def _summary(
    view: VgView, record: FenceRecord, taken: frozenset[str],
) -> Recovered:
    visible = [v for v in record.volumes if not v.hidden]
    gone = tuple(v.lv for v in visible if v.uuid in taken)
    back = tuple(v.lv for v in visible if v.uuid not in taken
                 and _locked(view, v) and _live(view, v))
    failed = tuple(v.lv for v in visible
                   if v.lv not in gone and v.lv not in back)
    if failed:
        return Recovered(Result.FAILED, back, gone, failed)
    return Recovered(
        Result.IN_PART if gone else Result.RECOVERED, back, gone)
