# SPDX-License-Identifier: Apache-2.0
"""What a run would do, from the same decisions and no effect at all."""

from collections.abc import Mapping
from dataclasses import replace

from cinder_tagged.ha.fence.core import fencing
from cinder_tagged.ha.fence.core.model import ERROR
from cinder_tagged.ha.fence.core.model import Order
from cinder_tagged.ha.fence.core.model import VgView


def imagine(view: VgView, step: fencing.Step) -> VgView:
    """Return the view as it will be once the step has worked."""
    if isinstance(step, fencing.DisableQueueing):
        return replace(view, maps=tuple(
            replace(m, queueing=False) if m.name == step.map else m
            for m in view.maps))
    if isinstance(step, fencing.Wipe):
        return replace(view, volumes=tuple(
            replace(v, targets=(ERROR,), below=(), suspended=False,
                    inactive_table=False)
            if v.name == step.volume else v for v in view.volumes))
    if isinstance(step, fencing.DropLocks):
        return replace(view, locks=None, lease=None)
    if isinstance(step, fencing.AwaitRelease):
        return replace(view, lease=None)
    return view


def plan(view: VgView, order: Order) -> tuple[fencing.Step, ...]:
    """Return the steps of a run in which each works at once."""
    steps: list[fencing.Step] = []
    tries: Mapping[str, int] = {}
    while not steps or not isinstance(steps[-1], fencing.Finished):
        at_once = fencing.next_steps(view, order, tries)
        tries = fencing.count(tries, *at_once)
        for step in at_once:
            view = imagine(view, step)
        steps += at_once
    return tuple(steps)
