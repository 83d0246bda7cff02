# SPDX-License-Identifier: Apache-2.0
"""This node, as fencing needs it: one port, and its real adapter."""

from collections.abc import Callable
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
import time
from typing import Protocol

from oslo_log import log as logging

from cinder_tagged.ha.fence import exceptions
from cinder_tagged.ha.fence.adapters import blocks
from cinder_tagged.ha.fence.adapters import devicemapper
from cinder_tagged.ha.fence.adapters import dmsetup
from cinder_tagged.ha.fence.adapters import holders
from cinder_tagged.ha.fence.adapters import lvm
from cinder_tagged.ha.fence.adapters import lvmlockd
from cinder_tagged.ha.fence.adapters import sanlock
from cinder_tagged.ha.fence.adapters.multipath import Multipath
from cinder_tagged.ha.fence.core import fencing
from cinder_tagged.ha.fence.core import recovery
from cinder_tagged.ha.fence.core.facts import bottoms
from cinder_tagged.ha.fence.core.facts import DmDevice
from cinder_tagged.ha.fence.core.facts import Facts
from cinder_tagged.ha.fence.core.facts import Leases
from cinder_tagged.ha.fence.core.facts import Lockspaces
from cinder_tagged.ha.fence.core.model import VgView

LOG = logging.getLogger(__name__)

# Tools at work at the same time.
CROWD = 16
# Between two looks at something that a daemon does in its own time.
PAUSE = 0.2


class Node(Protocol):
    """All effects of fencing; FenceError when one does not work."""

    def facts(
        self, quick: bool = False, known: Facts | None = None,
    ) -> Facts: ...

    def at_once(self, works: Sequence[Callable[[], str]]) -> list[str]: ...

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
                 recover_deadline: float, policy: str, uri: str) -> None:
        self._multipath = multipath
        self._deadline = command_deadline
        self._recover_deadline = recover_deadline
        self._policy = policy
        self._uri = uri

    def facts(
        self, quick: bool = False, known: Facts | None = None,
    ) -> Facts:
        """Read the node; ``quick`` spares the lsblk process.

        ``known``: take locks and leases from there, look at devices only.
        A lock daemon that does not answer counts as gone, not as an error:
        the volumes must be cut all the same.
        """
        devices = self._devices()
        return Facts(
            devices=devices,
            blocks=blocks.from_sysfs(wanted=bottoms(devices)) if quick
            else blocks.from_lsblk(self._deadline),
            lockspaces=known.lockspaces if known else self._lockspaces(),
            leases=known.leases if known else self._leases())

    def _devices(self) -> tuple[DmDevice, ...]:
        try:
            return devicemapper.devices(self._deadline)
        except exceptions.ToolFailed as error:
            LOG.warning('%s; asking dmsetup instead', error)
            return dmsetup.devices(self._deadline)

    def at_once(self, works: Sequence[Callable[[], str]]) -> list[str]:
        """Do all, a tool that hangs beside the others; return the answers.
        """
        with ThreadPoolExecutor(min(len(works), CROWD)) as crowd:
            return list(crowd.map(lambda work: work(), works))

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
            holders.find(nodes), self._policy, self._uri, self._deadline)

    def resume(self, guests: tuple[str, ...]) -> tuple[str, ...]:
        return holders.resume(guests, self._uri, self._deadline)

    def clean(self, wwids: frozenset[str]) -> None:
        """Remove overrides that no record stands for, left by a reset."""
        for wwid in self._multipath.overrides():
            if wwid not in wwids:
                self._multipath.drop_override(wwid)

    def clock(self) -> float:
        return time.monotonic()

    def pause(self) -> None:
        time.sleep(PAUSE)
