# SPDX-License-Identifier: Apache-2.0
"""What has become of a move, and what may begin. Pure.

Cinder moves a volume by itself once asked. Whoever asked may die, so that a
move is followed by what Cinder says of the volume, never by memory alone.
"""

from collections.abc import Sequence

from cinder_tagged.cli import report
from cinder_tagged.moves import model

# Cinder notes a request at once; one that was never noted never came: whoever
# was to send it died before. Cinder refuses a second one for the same volume.
_UNHEARD_S = 60.0
_ASKED_MOST = 2


def look(move: model.Move, volume: model.Volume | None,
         now: float) -> tuple[model.State, str]:
    """Return what a move under way has come to, and why.

    :param volume: as Cinder knows it now; None if it is gone
    :param now: UNIX time
    """
    if volume is None:
        return model.State.GONE, 'the volume was deleted meanwhile'
    if volume.is_moving:
        return model.State.MOVING, ''
    if same_backend(volume.backend, move.target):
        return model.State.MOVED, ''
    if not same_backend(volume.backend, move.source):
        return model.State.GONE, f'it is on {volume.backend} now'
    if volume.migration == 'error':
        return model.State.FAILED, (
            'Cinder could not move it, and it stays where it was; the log '
            f'of cinder-volume on {move.source} says why')
    if now - move.began < _UNHEARD_S:
        return model.State.MOVING, ''
    if move.asked < _ASKED_MOST:
        return model.State.PLANNED, 'Cinder has not heard of it: asking again'
    return model.State.FAILED, 'Cinder did not begin to move it'


def may_begin(move: model.Move,
              volume: model.Volume | None) -> tuple[bool, str]:
    """Tell whether a planned move can begin, or why it never can.

    :returns: (True, '') or (False, reason)
    """
    if volume is None:
        return False, 'the volume was deleted meanwhile'
    if not same_backend(volume.backend, move.source):
        return False, f'it is on {volume.backend or "no backend"} now'
    return not volume.obstacle, volume.obstacle


def next_moves(moves: Sequence[model.Move], at_once: int) -> list[model.Move]:
    """Return the moves that may be asked for now.

    Moves into one cluster slow each other down, so that as many different
    destinations as possible are busy.
    """
    busy = [m.target for m in moves if m.state is model.State.MOVING]
    waiting = [m for m in moves if m.state is model.State.PLANNED]
    chosen: list[model.Move] = []
    while waiting and len(busy) < at_once:
        best = min(waiting, key=lambda m: busy.count(m.target))
        waiting.remove(best)
        busy.append(best.target)
        chosen.append(best)
    return chosen


def same_backend(one: str, other: str) -> bool:
    """Compare names, with or without a pool."""
    if '#' in one and '#' in other:
        return one == other
    return report.service_of(one) == report.service_of(other)
