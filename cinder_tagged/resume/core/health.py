# SPDX-License-Identifier: Apache-2.0
"""What a service knows of what it depends on. Times: seconds since 1970."""

from collections.abc import Iterable
from typing import NamedTuple


class Seen(NamedTuple):
    """One dependency, as one service sees it.

    :ivar away_since: None while it answers, and if it never did
    :ivar sound_at: when it answered last; None if it never did
    """

    away_since: float | None
    sound_at: float | None


def worst(seen: Iterable[Seen]) -> Seen:
    """Return several as one: away if one is, sound when the last was."""
    seen = list(seen)
    away = [s.away_since for s in seen if s.away_since is not None]
    sound = [s.sound_at for s in seen if s.sound_at is not None]
    return Seen(min(away) if away else None,
                min(sound) if len(sound) == len(seen) and sound else None)
