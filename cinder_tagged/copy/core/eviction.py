# SPDX-License-Identifier: Apache-2.0
"""Which seeds go when the space for seeds is used up."""

from collections.abc import Iterable
from collections.abc import Iterator
import dataclasses


@dataclasses.dataclass(frozen=True, slots=True)
class Candidate:
    """A complete seed.

    :param stored: bytes that it takes
    :param used: when it was last cloned, seconds since the epoch
    """

    target: str
    stored: int
    used: float


def excess(seeds: Iterable[Candidate], limit: int) -> int:
    """Return how many bytes the seeds are above the limit.

    :param limit: in bytes; 0 is no limit
    """
    if not limit:
        return 0
    return max(0, sum(seed.stored for seed in seeds) - limit)


def least_recently_used(seeds: Iterable[Candidate],
                        keep: str = '') -> Iterator[Candidate]:
    """Yield seeds in the order in which they should go.

    :param keep: a target that must stay (it is about to be cloned)
    """
    for seed in sorted(seeds, key=lambda seed: (seed.used, seed.target)):
        if seed.target != keep:
            yield seed


def idle(seeds: Iterable[Candidate], now: float,
         longest: float) -> Iterator[Candidate]:
    """Yield the seeds that nobody cloned for longer than longest seconds.

    :param longest: 0 keeps every seed
    """
    for seed in least_recently_used(seeds):
        if longest and now - seed.used > longest:
            yield seed
