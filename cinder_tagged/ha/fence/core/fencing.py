# SPDX-License-Identifier: Apache-2.0
"""The order of fencing, decided anew from what the kernel shows.

Invariant: locks are dropped only out of a view in which every volume of
the group answers with errors.  Nothing is remembered between rounds but
how often a step was tried, so a run may die anywhere and be run again, and
a step that something undid (a reload that queues again) simply comes up
again.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from cinder_tagged.ha.fence.core import layers
from cinder_tagged.ha.fence.core.assess import assess
from cinder_tagged.ha.fence.core.model import MultipathMap
from cinder_tagged.ha.fence.core.model import Order
from cinder_tagged.ha.fence.core.model import Scope
from cinder_tagged.ha.fence.core.model import VgView
from cinder_tagged.ha.fence.core.model import Volume


class Method(Enum):
    """Ways to end queueing, from the mildest to the last resort."""

    DAEMON = 'multipathd disablequeueing'
    OVERRIDE = 'multipath.conf override for this map'
    KERNEL = 'device-mapper message'


@dataclass(frozen=True)
class DisableQueueing:
    map: str
    wwid: str
    method: Method

    @property
    def key(self) -> str:
        return f'queueing:{self.map}'

    def __str__(self) -> str:
        return f'end queueing on {self.map} ({self.method.value})'


@dataclass(frozen=True)
class Wipe:
    volume: str

    @property
    def key(self) -> str:
        return f'wipe:{self.volume}'

    def __str__(self) -> str:
        return f'replace the table of {self.volume} by an error target'


@dataclass(frozen=True)
class DropLocks:
    vg: str

    @property
    def key(self) -> str:
        return f'drop:{self.vg}'

    def __str__(self) -> str:
        return f'drop the locks of {self.vg} in lvmlockd'


@dataclass(frozen=True)
class AwaitRelease:
    vg: str

    @property
    def key(self) -> str:
        return f'await:{self.vg}'

    def __str__(self) -> str:
        return f'wait until sanlock has left the lockspace of {self.vg}'


class Outcome(Enum):
    RELEASED = 'released'
    ISOLATED = 'isolated'
    PARTIAL = 'isolated, locks kept'
    SOUND = 'nothing to do'
    STUCK = 'isolated, but the locks cannot be dropped'


@dataclass(frozen=True)
class Finished:
    outcome: Outcome
    detail: str

    @property
    def key(self) -> str:
        return 'finished'

    def __str__(self) -> str:
        return f'{self.outcome.value}: {self.detail}'


Step = DisableQueueing | Wipe | DropLocks | AwaitRelease | Finished

_METHODS = tuple(Method)


def _still_queueing(
    view: VgView, tries: Mapping[str, int],
) -> tuple[Step, ...]:
    """Lost maps that queue would hold the wipe for ever."""
    return tuple(_disable(each, tries) for each in view.maps
                 if each.lost and each.queueing)


def _disable(each: MultipathMap, tries: Mapping[str, int]) -> Step:
    done = tries.get(f'queueing:{each.name}', 0)
    return DisableQueueing(
        each.name, each.wwid, _METHODS[min(done, len(_METHODS) - 1)])


def _wipes(pending: list[Volume]) -> tuple[Step, ...]:
    """From the top down: a layer's I/O ends before what carries it goes."""
    tops = [v for v in pending if not layers.above(v, pending)]
    return tuple(Wipe(v.name) for v in
                 sorted(tops or pending, key=lambda v: v.name))


def next_steps(
    view: VgView, order: Order, tries: Mapping[str, int],
) -> tuple[Step, ...]:
    """Return the steps that the view calls for, to be done at once.

    They do not touch each other, so one that hangs delays no other.
    """
    targets = layers.doomed(view, order.scope)
    begun = any(v.isolated for v in targets)
    verdict = assess(view)
    here = view.locks is not None or view.volumes
    if here and verdict.scope is None and not (order.forced or begun):
        return (Finished(Outcome.SOUND, verdict.reason),)
    pending = [v for v in targets if not v.isolated]
    queueing = _still_queueing(view, tries)
    if queueing and (pending or view.lease is not None):
        return queueing
    if pending:
        return _wipes(pending)
    wiped = f'{len(targets)} volumes answer with errors'
    if order.scope is Scope.DEAD_PVS:
        return (Finished(Outcome.PARTIAL, wiped),)
    if not order.drop:
        return (Finished(Outcome.ISOLATED, wiped),)
    return (_release(view, wiped),)


def _release(view: VgView, wiped: str) -> Step:
    if view.locks is not None:
        return DropLocks(view.vg)
    if view.lease is None:
        return Finished(Outcome.RELEASED, f'{wiped}, no lease is left')
    if not view.lockd_up:
        return Finished(
            Outcome.STUCK, 'lvmlockd is gone and sanlock keeps its leases: '
            'the watchdog will reset this node')
    return AwaitRelease(view.vg)


def count(tries: Mapping[str, int], *steps: Step) -> Counter[str]:
    """Return the tries with one more for each of these steps."""
    return Counter(tries) + Counter(step.key for step in steps)
