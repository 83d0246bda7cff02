# SPDX-License-Identifier: Apache-2.0
"""Many clusters together: derived features, and what contradicts itself."""

from collections.abc import Iterable
import dataclasses

from cinder_tagged import exceptions
from cinder_tagged.features import model


@dataclasses.dataclass(frozen=True, slots=True)
class Conflict:
    """Backends whose stanzas contradict each other.

    :param subject: the word, or the cluster's fsid and pool
    """

    subject: str
    backends: tuple[str, ...]
    message: str


class Catalog:
    """All second-level features of a cloud, and what follows from them.

    Several hosts may serve one stanza; they appear as one backend name. The
    catalogue never refuses what backends report, since one host with a wrong
    file must not stop the others; it lists what contradicts instead.
    """

    def __init__(self, features: Iterable[model.SecondLevelFeature]):
        self.second_level = tuple(features)

    @property
    def first_level(self) -> dict[str, model.FirstLevelFeature]:
        """First-level features by word, in alphabetical order."""
        kinds: dict[str, str | None] = {}
        backends: dict[str, dict[str, None]] = {}
        for feature in self.second_level:
            for word, kind in feature.words.items():
                kinds[word] = kinds.get(word) or kind
                backends.setdefault(word, {})[feature.backend] = None
        return {word: model.FirstLevelFeature(word, kinds[word],
                                              tuple(sorted(backends[word])))
                for word in sorted(backends)}

    def conflicts(self) -> list[Conflict]:
        """List the contradictions, in a stable order."""
        return self._shared_clusters() + self._words_of_two_kinds()

    def _shared_clusters(self) -> list[Conflict]:
        by_place: dict[tuple[str, str], set[str]] = {}
        for feature in self.second_level:
            place = (feature.cluster.fsid, feature.cluster.pool)
            if feature.cluster.fsid:
                by_place.setdefault(place, set()).add(feature.backend)
        return [Conflict(f'{fsid}/{pool}', tuple(sorted(names)),
                         f'backends {", ".join(sorted(names))} are the same '
                         f'pool {pool} of the cluster {fsid}; its capacity '
                         'would be counted once for each')
                for (fsid, pool), names in sorted(by_place.items())
                if len(names) > 1]

    def _words_of_two_kinds(self) -> list[Conflict]:
        by_word: dict[str, dict[str, set[str]]] = {}
        for feature in self.second_level:
            for word, kind in feature.words.items():
                if kind:
                    by_word.setdefault(word, {}).setdefault(
                        kind, set()).add(feature.backend)
        found = []
        for word, kinds in sorted(by_word.items()):
            if len(kinds) > 1:
                names = tuple(sorted(set().union(*kinds.values())))
                found.append(Conflict(
                    word, names, f'the tag {word!r} stands under the kinds '
                    f'{" and ".join(sorted(kinds))} on the backends '
                    f'{", ".join(names)}'))
        return found


def check_stanzas(features: Iterable[model.SecondLevelFeature]) -> None:
    """Refuse stanzas of one cinder.conf that contradict each other.

    :raises FeatureConfigError: two stanzas on the same fsid and pool, or one
        word under two kinds
    """
    catalog = Catalog(features)
    by_name = {f.backend: f for f in catalog.second_level}
    for conflict in catalog.conflicts():
        second = conflict.backends[1]
        if '/' in conflict.subject:
            raise exceptions.FeatureConfigError(
                'rbd_pool', by_name[second].cluster.pool,
                f'{conflict.message}; give one of them another pool or '
                'remove its stanza', f'[{second}]')
        raise exceptions.FeatureConfigError(
            'feature_tags', ', '.join(map(str, by_name[second].tags)),
            f'{conflict.message}; use one kind everywhere',
            f'[{second}]')
