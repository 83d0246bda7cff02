# SPDX-License-Identifier: Apache-2.0
"""What there is to tell of a cloud's storage. Pure.

A figure that nobody knows is left out, so that no graph shows an invention.
"""

from collections.abc import Iterable
from collections.abc import Sequence
import dataclasses
import math

from cinder_tagged import placement
from cinder_tagged.cli import report
from cinder_tagged.cli import topology

_CLUSTER = ('cluster', 'fsid', 'pool')
_SHARE = ('tag', 'cluster')


@dataclasses.dataclass(slots=True)
class Figure:
    """A gauge, with a value for each set of labels.

    :param name: without the prefix ``cinder_tagged_``
    :param samples: (values of the labels, value)
    """

    name: str
    text: str
    labels: tuple[str, ...] = ()
    samples: list[tuple[tuple[str, ...], float]] = dataclasses.field(
        default_factory=list)

    def add(self, value: float | None, *labels: str) -> None:
        """Add a value, if there is one."""
        if value is not None and math.isfinite(value):
            self.samples.append((labels, float(value)))


def of_storage(storage: report.Storage, rows: Sequence[report.TagRow],
               refused: int) -> list[Figure]:
    """Return the figures of a cloud.

    :param rows: the tags, as ``volume feature list`` shows them
    :param refused: how many volumes found no place
    """
    drawn = topology.read(storage, rows)
    return [*_clusters(drawn, storage), *_tags(drawn, rows),
            _silent(drawn), _one('refused_volumes', 'Volumes in error, with '
                                 'an explanation why they found no place.',
                                 refused),
            _one('schedulers', 'Schedulers that are up.',
                 storage.schedulers)]


def _one(name: str, text: str, value: float) -> Figure:
    figure = Figure(name, text)
    figure.add(value)
    return figure


def _clusters(drawn: topology.Topology,
              storage: report.Storage) -> Iterable[Figure]:
    figures = {name: Figure(f'cluster_{name}', text, _CLUSTER)
               for name, text in (
        ('up', 'A backend of the cluster takes volumes.'),
        ('weight', 'Weight factor.'),
        ('backends', 'Backends that serve the cluster.'),
        ('capacity_gib', 'Physical space.'),
        ('used_gib', 'Physical space in use.'),
        ('provisioned_gib', 'What its volumes could grow to.'),
        ('room_gib', 'What placement may still put there.'),
        ('image_copies', 'Images of which it reports a copy, 100 at most.'))}
    groups: dict[topology.Key, list[placement.Pool]] = {}
    for pool in storage.pools:
        groups.setdefault(pool.key, []).append(pool)
    for cluster in drawn.clusters:
        pools = groups[cluster.key]
        values = {
            'up': not cluster.reason, 'weight': cluster.weight,
            'backends': len(pools), 'capacity_gib': cluster.total_gb,
            'used_gib': cluster.used_gb,
            'provisioned_gib': cluster.provisioned_gb,
            'room_gib': _room(pools),
            'image_copies': max(len(pool.images) for pool in pools)}
        for name, value in values.items():
            figures[name].add(value, cluster.name, *cluster.key)
    return figures.values()


def _room(pools: Sequence[placement.Pool]) -> float | None:
    load = placement.load_of(pools)
    return max((placement.room_of(pool, load).gb for pool in pools
                if pool.up), default=None)


def _tags(drawn: topology.Topology,
          rows: Iterable[report.TagRow]) -> Iterable[Figure]:
    share = Figure('tag_share', 'Part that a cluster holds of what the '
                   'clusters of a tag hold, 0 to 1.', _SHARE)
    target = Figure('tag_target', 'Part that its weight entitles it to, '
                    '0 to 1.', _SHARE)
    names = {cluster.key: cluster.name for cluster in drawn.clusters}
    for link in drawn.links:
        share.add(link.share, link.word, names[link.key])
        target.add(link.target, link.word, names[link.key])
    up = Figure('tag_backends_up', 'Backends with a tag that take volumes.',
                ('tag',))
    for row in rows:
        up.add(row.up, row.word)
    return share, target, up


def _silent(drawn: topology.Topology) -> Figure:
    figure = Figure('backend_silent', 'A backend whose service tells nothing.',
                    ('backend',))
    for silent in drawn.silent:
        figure.add(1, silent.backend)
    return figure
