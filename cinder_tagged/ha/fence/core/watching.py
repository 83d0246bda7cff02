# SPDX-License-Identifier: Apache-2.0
"""When a watcher turns an observation into an order."""

from collections.abc import Iterable
from dataclasses import dataclass

from cinder_tagged.ha.fence.core.assess import assess
from cinder_tagged.ha.fence.core.layers import doomed
from cinder_tagged.ha.fence.core.model import Order
from cinder_tagged.ha.fence.core.model import Scope
from cinder_tagged.ha.fence.core.model import VgView


@dataclass(frozen=True)
class Suspicion:
    """Since when (seconds of any steady clock) a group looks lost."""

    since: float
    scope: Scope


def suspect(
    view: VgView, now: float, before: Suspicion | None,
) -> Suspicion | None:
    """Return what is suspected now; a sound view clears it at once."""
    scope = assess(view).scope
    if scope is None:
        return None
    if before is None:
        return Suspicion(now, scope)
    # A fault that grows keeps its start: its first half was real.
    return Suspicion(before.since, scope)


def order_for(
    view: VgView, now: float, suspicion: Suspicion | None, grace: float,
) -> Order | None:
    """Return the order once the fault has lasted the grace (seconds).

    Leases that sanlock itself has given up leave no time for a grace.
    """
    if suspicion is None:
        return None
    hurry = view.lease is not None and view.lease.recovering
    if now - suspicion.since < grace and not hurry:
        return None
    if _settled(view, suspicion.scope):
        return None
    return Order(view.vg, suspicion.scope, reason=assess(view).reason)


def time_left(suspicions: Iterable[Suspicion | None], now: float,
              grace: float, interval: float) -> float:
    """Return the seconds to the next look: an order must not be late."""
    ends = [s.since + grace - now for s in suspicions if s]
    return min([interval, *(left for left in ends if left > 0)])


def _settled(view: VgView, scope: Scope) -> bool:
    """Nothing of the group is left to cut, and no lock left to drop."""
    cut = all(v.isolated for v in doomed(view, scope))
    if scope is Scope.DEAD_PVS:
        return cut
    return cut and view.locks is None and view.lease is None


def escalate(view: VgView, order: Order) -> Order:
    """Return the order, widened when the leases went too."""
    verdict = assess(view)
    if order.scope is Scope.DEAD_PVS and verdict.scope is Scope.WHOLE:
        return Order(order.vg, Scope.WHOLE, order.drop, order.forced,
                     verdict.reason)
    return order
