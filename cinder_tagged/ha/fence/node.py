# SPDX-License-Identifier: Apache-2.0
"""This node, as fencing needs it: one port, and its real adapter."""

import time
from typing import Protocol

from cinder_tagged.ha.fence.adapters import blocks
from cinder_tagged.ha.fence.adapters import dmsetup
from cinder_tagged.ha.fence.adapters import holders
from cinder_tagged.ha.fence.adapters import lvm
from cinder_tagged.ha.fence.adapters import lvmlockd
from cinder_tagged.ha.fence.adapters import sanlock
from cinder_tagged.ha.fence.adapters.multipath import Multipath
from cinder_tagged.ha.fence.core import fencing
from cinder_tagged.ha.fence.core import recovery
from cinder_tagged.ha.fence.core.facts import Facts
from cinder_tagged.ha.fence.core.facts import Leases
from cinder_tagged.ha.fence.core.facts import Lockspaces
from cinder_tagged.ha.fence.core.model import VgView

# Between two looks at something that a daemon does in its own time.
PAUSE = 0.2


class Node(Protocol):
    """All effects of fencing; FenceError when one does not work."""

    def facts(self, quick: bool = False) -> Facts: ...

    def perform(
        self, step: fencing.Step | recovery.RecoveryStep, deadline: float,
    ) -> None: ...

    def settle(self, view: VgView) -> tuple[str, ...]: ...

    def resume(self, guests: tuple[str, ...]) -> tuple[str, ...]: ...

    def clean(self, wwids: frozenset[str]) -> None: ...

    def clock(self) -> float: ...

    def pause(self) -> None: ...


class LocalNode:
    """The tools of the machine this runs on."""

    def __init__(self, multipath: Multipath, command_deadline: float,
                 recover_deadline: float, policy: str) -> None:
        self._multipath = multipath
        self._deadline = command_deadline
        self._recover_deadline = recover_deadline
        self._policy = policy

    def facts(self, quick: bool = False) -> Facts:
        """Read the node; ``quick`` spares the lsblk process.

        A lock daemon that does not answer counts as gone, not as an error:
        the volumes must be cut all the same.
        """
        return Facts(
            devices=dmsetup.devices(self._deadline),
            blocks=blocks.from_sysfs() if quick
            else blocks.from_lsblk(self._deadline),
            lockspaces=self._lockspaces(), leases=self._leases())

    def _lockspaces(self) -> Lockspaces:
        return lvmlockd.lockspaces(self._deadline)

    def _leases(self) -> Leases:
        return sanlock.leases(time.monotonic(), self._deadline)

    def perform(
        self, step: fencing.Step | recovery.RecoveryStep, deadline: float,
    ) -> None:
        """Do one step; whether it worked shows in the next facts."""
        short = min(self._deadline, deadline)
        match step:
            case fencing.DisableQueueing(name, wwid, method):
                self._multipath.disable_queueing(name, wwid, method)
            case fencing.Wipe(volume):
                dmsetup.wipe(volume, short)
            case fencing.DropLocks(vg):
                lvmlockd.drop(vg, short)
            case fencing.AwaitRelease():
                self.pause()
            case recovery.RestoreQueueing(name, wwid):
                self._multipath.restore_queueing(name, wwid)
            case recovery.RemoveStale(volume):
                dmsetup.remove(volume, short)
            case recovery.StartLocks(vg):
                lvm.start_locks(vg, self._recover_deadline)
            case recovery.Activate(vg, lv, _, mode):
                lvm.activate(vg, lv, mode, self._recover_deadline)
            case recovery.Refresh(vg, lv, _):
                lvm.refresh(vg, lv, self._recover_deadline)

    def settle(self, view: VgView) -> tuple[str, ...]:
        nodes = []
        for volume in view.volumes:
            minor = volume.devno.partition(':')[2]
            identity = volume.identity
            nodes += [f'/dev/dm-{minor}', f'/dev/mapper/{volume.name}',
                      f'/dev/{identity.vg}/{identity.lv}']
        return holders.settle(
            holders.find(nodes), self._policy, self._deadline)

    def resume(self, guests: tuple[str, ...]) -> tuple[str, ...]:
        return holders.resume(guests, self._deadline)

    def clean(self, wwids: frozenset[str]) -> None:
        """Remove overrides that no record stands for, left by a reset."""
        for wwid in self._multipath.overrides():
            if wwid not in wwids:
                self._multipath.drop_override(wwid)

    def clock(self) -> float:
        return time.monotonic()

    def pause(self) -> None:
        time.sleep(PAUSE)
