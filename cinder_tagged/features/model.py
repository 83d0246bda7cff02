# SPDX-License-Identifier: Apache-2.0
"""Clusters and their features."""

import dataclasses
import math

from cinder_tagged import exceptions
from cinder_tagged.features import tags as tags_mod

_OPTION = 'feature_weight'


@dataclasses.dataclass(frozen=True, order=True, slots=True)
class Cluster:
    """Identity of the place where block devices are made.

    :param fsid: the Ceph cluster's own identifier
    :param name: the name operators call the cluster by
    :param pool: the RADOS pool that holds the volumes
    """

    fsid: str
    name: str
    pool: str


@dataclasses.dataclass(frozen=True, slots=True)
class SecondLevelFeature:
    """What one backend stanza says of its cluster.

    :param backend: the stanza's name (``volume_backend_name``'s section)
    :param weight: factor by which it shares with others that match; 0 means
        that it is used only when nothing else matches
    """

    backend: str
    cluster: Cluster
    tags: tuple[tags_mod.Tag, ...]
    weight: float = 1.0

    @property
    def words(self) -> dict[str, str | None]:
        """Kind by word; the form that expressions are matched against."""
        return {tag.word: tag.kind for tag in self.tags}


@dataclasses.dataclass(frozen=True, slots=True)
class FirstLevelFeature:
    """One distinct tag, and every backend that carries it.

    Users meet it as a volume type of the tag's word.
    """

    word: str
    kind: str | None
    backends: tuple[str, ...]


def parse_weight(value: float | int | str, *, where: str = '') -> float:
    """Read a weight factor.

    :returns: a finite number, 0 or more
    :raises FeatureConfigError: negative, NaN, infinite or not a number
    """
    try:
        weight = float(value)
    except (TypeError, ValueError, OverflowError):
        weight = math.nan
    if not math.isfinite(weight) or weight < 0:
        raise exceptions.FeatureConfigError(
            _OPTION, value, 'a weight factor is a finite number, 0 or more; '
            '0 means "only when nothing else matches"', where)
    return weight
