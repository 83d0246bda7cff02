# SPDX-License-Identifier: Apache-2.0
"""Is a volume group in need of fencing, and of how much of it?"""

from dataclasses import dataclass

from cinder_tagged.ha.fence.core import layers
from cinder_tagged.ha.fence.core.model import Scope
from cinder_tagged.ha.fence.core.model import VgView


@dataclass(frozen=True)
class Verdict:
    """``scope`` is None when nothing is lost; ``reason`` says why."""

    scope: Scope | None
    reason: str


def _names(bases: tuple[object, ...]) -> str:
    return ', '.join(getattr(base, 'name', '?') for base in bases)


def assess(view: VgView) -> Verdict:
    """Judge the leases first: without them no volume may be written.

    Lost leases and lost paths are different faults.  Leases on a dead
    device with the data alive leave writes landing that no lock covers, so
    all is cut.  Dead data with the leases alive never makes sanlock act,
    so only the volumes on it are cut and the locks are kept.
    """
    holders = layers.lock_base(view)
    if holders and all(base.lost for base in holders):
        return Verdict(
            Scope.WHOLE, 'every path to the leases on '
            f'{_names(holders)} is lost')
    if view.lease is not None:
        limit = 6 * view.lease.io_timeout
        if view.lease.recovering or view.lease.age >= limit:
            return Verdict(
                Scope.WHOLE, 'no lease renewal for '
                f'{view.lease.age:.0f} s (limit {limit} s)')
    dead = tuple(base for base in layers.bases(view) if base.lost)
    if dead and layers.doomed(view, Scope.DEAD_PVS):
        return Verdict(
            Scope.DEAD_PVS, f'every path to {_names(dead)} is lost, '
            'the leases are sound')
    return Verdict(None, 'paths and leases are sound')
