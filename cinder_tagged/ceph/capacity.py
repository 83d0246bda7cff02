# SPDX-License-Identifier: Apache-2.0
"""What a pool holds and can take, read from the monitors' answers."""

from collections.abc import Mapping
import dataclasses
from typing import Any

_GIB = 1024 ** 3


@dataclasses.dataclass(frozen=True, slots=True)
class Capacity:
    """Of one pool, in bytes.

    :param stored: what clients wrote
    :param available: what the cluster says can still be written
    :param cluster: raw size of the whole cluster
    :param quota: limit set on the pool; 0 for none
    """

    stored: int
    available: int
    cluster: int
    quota: int = 0

    @property
    def free(self) -> int:
        """Bytes that can still be written, within the quota."""
        if self.quota:
            return max(0, min(self.quota - self.stored, self.available))
        return self.available

    def gib(self, *, dynamic_total: bool = True) -> tuple[float, float]:
        """Return free and total, in GiB with two decimals.

        :param dynamic_total: total is what is used plus what is free;
            otherwise the quota, or the raw size of the cluster
        """
        total = (self.free + self.stored if dynamic_total
                 else self.quota or self.cluster)
        return round(self.free / _GIB, 2), round(total / _GIB, 2)


def from_answers(df: Mapping[str, Any], quota: Mapping[str, Any],
                 pool: str) -> Capacity:
    """Read the answers to ``df`` and ``osd pool get-quota``.

    :raises LookupError: the pool is not among the statistics yet, as with
        a cluster that has no active manager
    """
    stats = next((p['stats'] for p in df['pools'] if p['name'] == pool),
                 None)
    if stats is None:
        raise LookupError(f'the cluster gives no statistics of pool {pool}')
    return Capacity(
        stored=int(stats.get('stored', stats.get('bytes_used', 0))),
        available=int(stats['max_avail']),
        cluster=int(df['stats']['total_bytes']),
        quota=int(quota.get('quota_max_bytes') or 0))
