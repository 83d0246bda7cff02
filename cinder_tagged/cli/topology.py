# SPDX-License-Identifier: Apache-2.0
"""What a picture of the cloud shows: tags, clusters, who holds what. Pure."""

from collections.abc import Iterable
from collections.abc import Sequence
import dataclasses
import math

from cinder_tagged import features
from cinder_tagged import placement
from cinder_tagged.cli import report

#: Identity of a cluster: what :attr:`placement.Pool.key` gives.
Key = tuple[str, str]

#: What a cluster is made of comes first: users ask for it most.
_MEDIUM_FIRST: dict[str | None, int] = {
    'medium': 0, 'type': 1, 'purpose': 2}


@dataclasses.dataclass(frozen=True)
class Tag:
    """One tag.

    :param state: as in ``volume feature list``
    """

    word: str
    kind: str | None
    state: str


@dataclasses.dataclass(frozen=True)
class Cluster:
    """One cluster, however many hosts serve it; amounts in GiB.

    :param reason: why it is down; '' if it is up
    :param total_gb: None if nobody knows, as the other amounts
    """

    key: Key
    name: str
    hosts: int
    weight: float
    reason: str = ''
    total_gb: float | None = None
    used_gb: float | None = None
    provisioned_gb: float | None = None

    @property
    def fill(self) -> float | None:
        """The used part of the physical space, 0 to 1."""
        if not self.total_gb or self.used_gb is None:
            return None
        return min(max(self.used_gb / self.total_gb, 0.0), 1.0)


@dataclasses.dataclass(frozen=True)
class Link:
    """A tag that a cluster carries.

    :param share: the part it holds of what the tag's clusters hold, 0 to 1;
        None if it is down
    :param target: the part that its weight entitles it to
    """

    word: str
    key: Key
    share: float | None = None
    target: float | None = None


@dataclasses.dataclass(frozen=True)
class Topology:
    """All of it, in the order in which it is drawn."""

    tags: tuple[Tag, ...]
    clusters: tuple[Cluster, ...]
    links: tuple[Link, ...]
    silent: tuple[report.Silent, ...] = ()

    def links_of(self, cluster: Cluster) -> list[Link]:
        """Return the tags of one cluster, in the order of the tags."""
        return [link for link in self.links if link.key == cluster.key]

    def shared(self, link: Link) -> bool:
        """Tell whether the cluster shares the tag with others that are up."""
        return link.share is not None and any(
            other.word == link.word and other.key != link.key
            and other.share is not None for other in self.links)


def read(storage: report.Storage,
         rows: Iterable[report.TagRow]) -> Topology:
    """Arrange what the commands know.

    :param rows: the tags, as ``volume feature list`` shows them
    """
    tags = sorted((Tag(row.word, row.kind, row.state) for row in rows),
                  key=lambda tag: (_MEDIUM_FIRST.get(tag.kind, 3),
                                   tag.word))
    groups: dict[Key, list[placement.Pool]] = {}
    for pool in storage.pools:
        if pool.feature:
            groups.setdefault(pool.key, []).append(pool)
    clusters = [_cluster(key, pools) for key, pools in groups.items()]
    order = {tag.word: place for place, tag in enumerate(tags)}
    carried = {key: sorted({word for pool in pools if pool.feature
                            for word in pool.feature.words},
                           key=lambda word: order.get(word, len(order)))
               for key, pools in groups.items()}
    # Clusters stand near their tags, so that few lines cross.
    clusters.sort(key=lambda c: (_middle(carried[c.key], order), c.name))
    return Topology(
        tuple(tags), tuple(clusters),
        tuple(link for tag in tags
              for link in _links(tag.word, storage, carried)),
        storage.silent)


def _middle(words: Sequence[str], order: dict[str, int]) -> float:
    places = [order[word] for word in words if word in order]
    return sum(places) / len(places) if places else 0.0


def _cluster(key: Key, pools: list[placement.Pool]) -> Cluster:
    serving = [pool for pool in pools if pool.up]
    first = (serving or pools)[0]
    feature = first.feature
    name = (feature.cluster.name or feature.backend) if feature else ''
    load = placement.load_of(serving).used_gb if serving else None
    return Cluster(
        key, name, len(pools), first.weight,
        '' if serving else first.down_reason or 'it is down',
        *(_known(value) if serving else None for value in (
            first.total_gb, first.total_gb - first.free_gb, load)))


def _known(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _links(word: str, storage: report.Storage,
           carried: dict[Key, list[str]]) -> list[Link]:
    pools = storage.carrying(features.parse_expression(word))
    key_of = {pool.backend: pool.key for pool in pools}
    decision = placement.decide(
        placement.Request(0, features.parse_expression(word)), pools,
        placement.get_policy('proportional'))
    links: dict[Key, Link] = {}
    for verdict in decision.verdicts:
        key = key_of[verdict.backend]
        if verdict.accepted or key not in links:
            links[key] = Link(word, key, verdict.share, verdict.target)
    return [links[key] for key in carried if key in links]
