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


def _still_queueing(view: VgView, tries: Mapping[str, int]) -> Step | None:
    """A lost map that queues would hold the wipe for ever."""
    for each in view.maps:
        if each.lost and each.queueing:
            return _disable(each, tries)
    return None


def _disable(each: MultipathMap, tries: Mapping[str, int]) -> Step:
    done = tries.get(f'queueing:{each.name}', 0)
    return DisableQueueing(
        each.name, each.wwid, _METHODS[min(done, len(_METHODS) - 1)])


def _next_wipe(
    pending: list[Volume], tries: Mapping[str, int],
) -> Step:
    """From the top down, and least tried first: a hung one delays none."""
    tops = [v for v in pending if not layers.above(v, pending)]
    chosen = min(tops or pending,
                 key=lambda v: (tries.get(f'wipe:{v.name}', 0), v.name))
    return Wipe(chosen.name)


def next_step(
    view: VgView, order: Order, tries: Mapping[str, int],
) -> Step:
    """Return the one step that the view calls for."""
    targets = layers.doomed(view, order.scope)
    begun = any(v.isolated for v in targets)
    verdict = assess(view)
    here = view.locks is not None or view.volumes
    if here and verdict.scope is None and not (order.forced or begun):
        return Finished(Outcome.SOUND, verdict.reason)
    pending = [v for v in targets if not v.isolated]
    queueing = _still_queueing(view, tries)
    if queueing and (pending or view.lease is not None):
        return queueing
    if pending:
        return _next_wipe(pending, tries)
    wiped = f'{len(targets)} volumes answer with errors'
    if order.scope is Scope.DEAD_PVS:
        return Finished(Outcome.PARTIAL, wiped)
    if not order.drop:
        return Finished(Outcome.ISOLATED, wiped)
    return _release(view, wiped)


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


def count(tries: Mapping[str, int], step: Step) -> Counter[str]:
    """Return the tries with one more for this step."""
    counted = Counter(tries)
    counted[step.key] += 1
    return counted
