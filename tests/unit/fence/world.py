# SPDX-License-Identifier: Apache-2.0
"""A node in memory that fails the way real ones were measured to.

It keeps the rules that matter: a wipe hangs while a lost map queues, a
reload queues again, a refresh loads the real table whoever holds the lock,
a drop lets the lease go.  It records every wrong that must never happen.
"""

from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import replace

from cinder_tagged.ha.fence import exceptions
from cinder_tagged.ha.fence.core import fencing
from cinder_tagged.ha.fence.core import names
from cinder_tagged.ha.fence.core import recovery
from cinder_tagged.ha.fence.core.facts import Block
from cinder_tagged.ha.fence.core.facts import DmDevice
from cinder_tagged.ha.fence.core.facts import Facts
from cinder_tagged.ha.fence.core.facts import Leases
from cinder_tagged.ha.fence.core.facts import Lockspaces
from cinder_tagged.ha.fence.core.model import Lease
from cinder_tagged.ha.fence.core.model import Path

VG_ID = 'V' * 32


def uuid(letter: str) -> str:
    return letter * 32


def printed(letter: str) -> str:
    return '-'.join(letter * n for n in (6, 4, 4, 4, 4, 4, 6))


def lv(name: str, letter: str, devno: str, below: str, kind: str = 'linear',
       layer: str = '', vg: str = 'vg') -> DmDevice:
    return DmDevice(
        name=f'{vg}-{name}', uuid=f'LVM-{VG_ID}{uuid(letter)}'
        + (f'-{layer}' if layer else ''),
        devno=devno, targets=(kind,), below=tuple(below.split()))


def mpath(name: str, devno: str, alive: bool = True) -> DmDevice:
    return DmDevice(
        name=name, uuid=f'mpath-wwid-{name}', devno=devno,
        targets=('multipath',), queueing=True,
        paths=(Path('8:0', alive), Path('8:16', alive)))


class World:
    """Implements ``Node``; ``wrongs`` lists what should not have been."""

    def __init__(self, *devices: DmDevice,
                 blocks: tuple[Block, ...] = ()) -> None:
        self.devices = {d.name: d for d in devices}
        self.real = dict(self.devices)
        self.blocks = {b.devno: b for b in blocks}
        self.locks: dict[str, str] | None = {
            printed(d.uuid[36]): 'ex' for d in devices
            if d.uuid.startswith('LVM-') and 'lvmlock' not in d.name
            and len(d.uuid) == 68}
        self.lease: Lease | None = Lease(10, 3)
        self.lockd_up = True
        self.sanlock_up = True
        self.elsewhere: set[str] = set()
        self.now = 0.0
        self.done: list[str] = []
        self.wrongs: list[str] = []
        self.paused: tuple[str, ...] = ()
        self.resumed: tuple[str, ...] = ()
        self.overrides: set[str] = set()
        self.rearm = 0
        self.locks_read = 0
        self.before_step: Callable[[object], None] = lambda step: None

    # what a test does to it

    def change(self, name: str, **fields: object) -> None:
        self.devices[name] = replace(self.devices[name], **fields)

    def paths(self, name: str, alive: bool) -> None:
        self.change(name, paths=(Path('8:0', alive), Path('8:16', alive)))

    def isolated(self) -> set[str]:
        return {d.name for d in self.devices.values()
                if d.targets == ('error',) and not d.inactive_table}

    # Node

    def clock(self) -> float:
        self.now += 0.01
        return self.now

    def pause(self) -> None:
        self.now += 0.2

    def at_once(self, works: Sequence[Callable[[], str]]) -> list[str]:
        return [work() for work in works]

    def facts(self, quick: bool = False,
              known: Facts | None = None) -> Facts:
        if known:
            return replace(known, devices=tuple(self.devices.values()))
        self.locks_read += 1
        locks = {} if self.locks is None else {'vg': dict(self.locks)}
        return Facts(
            tuple(self.devices.values()), self.blocks,
            Lockspaces(self.lockd_up, locks if self.lockd_up else {}),
            Leases(self.sanlock_up,
                   {'vg': self.lease} if self.lease else {}))

    def settle(self, view: object) -> tuple[str, ...]:
        return self.paused

    def resume(self, guests: tuple[str, ...]) -> tuple[str, ...]:
        self.resumed = guests
        return ()

    def clean(self, wwids: frozenset[str]) -> None:
        self.overrides &= wwids

    def perform(self, step: object, deadline: float) -> None:
        self.before_step(step)
        self.done.append(str(step))
        match step:
            case fencing.DisableQueueing(name, wwid, method):
                self._queueing(name, wwid, method)
            case fencing.Wipe(volume):
                self._wipe(volume)
            case fencing.DropLocks():
                self._drop()
            case fencing.AwaitRelease():
                self.pause()
            case recovery.RestoreQueueing(name, wwid):
                self.overrides.discard(wwid)
                self.change(name, queueing=True)
            case recovery.RemoveStale(volume):
                del self.devices[volume]
            case recovery.StartLocks():
                self.locks = {}
                self.lease = Lease(10, 0)
            case recovery.Activate(_, name, letter, mode):
                self._activate(names.join_name('vg', name), letter, mode)
            case recovery.Refresh(_, name, letter):
                self._refresh(names.join_name('vg', name), letter)

    def _queueing(self, name: str, wwid: str, method: object) -> None:
        if method is fencing.Method.OVERRIDE:
            self.overrides.add(wwid)
        if self.rearm and wwid not in self.overrides:
            self.rearm -= 1
            return
        self.change(name, queueing=False)

    def _wipe(self, name: str) -> None:
        held = self._maps_below(self.devices[name])
        if any(m.queueing and not any(p.active for p in m.paths)
               for m in held):
            self.now += 5
            self.change(name, inactive_table=True)
            raise exceptions.ToolTimeout('dmsetup wipe_table', 5)
        self.change(name, targets=('error',), below=(),
                    inactive_table=False, suspended=False)

    def _maps_below(self, device: DmDevice) -> list[DmDevice]:
        by_devno = {d.devno: d for d in self.devices.values()}
        found: list[DmDevice] = []
        for devno in device.below:
            if devno in by_devno:
                found += [by_devno[devno],
                          *self._maps_below(by_devno[devno])]
        return [d for d in found if d.uuid.startswith('mpath-')]

    def _drop(self) -> None:
        left = [d.name for d in self.devices.values()
                if d.name.startswith('vg-') and 'lvmlock' not in d.name
                and d.name not in self.isolated()]
        if left:
            self.wrongs.append(f'dropped with {left} still writable')
        self.locks = None
        self.lease = None

    def _activate(self, name: str, letter: str, mode: str) -> None:
        if letter in self.elsewhere:
            raise exceptions.HeldElsewhere('lvchange', 5, 'locked')
        if self.locks is None:
            raise exceptions.ToolFailed('lvchange', 5, 'no lockspace')
        self.locks[letter] = mode
        self.devices.setdefault(name, self.real[name])

    def _refresh(self, name: str, letter: str) -> None:
        if letter not in (self.locks or {}):
            self.wrongs.append(f'{name} restored without its lock')
        self.devices[name] = self.real[name]


def standard() -> World:
    """Two volumes and the leases on one queueing map, Ceph beside."""
    return World(
        mpath('mpatha', '253:0'),
        lv('lvmlock', 'L', '253:1', '253:0'),
        lv('one', 'A', '253:2', '253:0'),
        lv('two--b', 'B', '253:3', '253:0'),
        DmDevice('ceph--data-osd', 'LVM-' + 'C' * 64, '253:9',
                 targets=('linear',), below=('252:0',)))
