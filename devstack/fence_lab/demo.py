# SPDX-License-Identifier: Apache-2.0
"""The story for a person to watch: stock resets, fenced lives."""

from collections.abc import Callable

from devstack.fence_lab import scenario
from devstack.fence_lab.lab import Lab

Say = Callable[[str], None]


def demo(say: Say = print, stock: bool = True) -> int:
    """Play the loss of a SAN; return an exit status.

    :param stock: show first what happens without fencing (it takes the
        watchdog's minute and more).
    """
    if stock:
        say('== without fencing')
        with Lab() as lab:
            lost = scenario.stock(lab, say)
        say(f'Node 1 hung, and was reset {lost.node_reset} s after the cut, '
            'with everything on it.')
    say('== with cinder-tagged-fence')
    with Lab() as lab:
        kept = scenario.fenced(lab, say)
    say(f'Node 1 lives. I/O ended {kept.io_ended} s after the cut, locks '
        f'were dropped at {kept.locks_dropped} s; the device beside the SAN '
        f'never paused for more than {kept.other_gap} s.')
    return 0
