# SPDX-License-Identifier: Apache-2.0
"""Turn what REST answers into what the commands show. Pure.

``get_pools`` leaves out every backend whose service is down, disabled or
frozen, and the tags with it. The list of services names those backends, so
both are read together: no backend disappears without a word.
"""

from collections.abc import Container
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import math
from typing import Any

from cinder_tagged import exceptions
from cinder_tagged import features
from cinder_tagged import placement
from cinder_tagged.volume_types import plan

Answer = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Silent:
    """A backend that reports nothing, so that its tags are unknown."""

    backend: str
    reason: str


@dataclasses.dataclass(frozen=True)
class Storage:
    """Every backend of the cloud.

    :param pools: those whose tags are known, up or down
    :param schedulers: how many are up; at least 1
    """

    pools: tuple[placement.Pool, ...]
    silent: tuple[Silent, ...]
    schedulers: int = 1

    @property
    def catalog(self) -> features.Catalog:
        """Return what the backends' tags make together."""
        return features.Catalog(p.feature for p in self.pools if p.feature)

    def carrying(self, wanted: features.Expression) -> list[placement.Pool]:
        """Return the backends whose tags meet an expression."""
        return [p for p in self.pools
                if p.feature and wanted.matches(p.feature.words)]


def read_storage(pools: Iterable[Answer],
                 services: Iterable[Answer]) -> Storage:
    """Join the backends' reports with the state of their services.

    :param pools: the items of ``get_pools`` with detail
    :param services: the items of ``os-services``
    """
    known = list(services)
    faults = _faults(s for s in known if s['binary'] == 'cinder-volume')
    read = [_pool(answer, faults) for answer in pools]
    reporting = {service_of(pool.backend) for pool in read}
    by_stanza: dict[str, set[features.SecondLevelFeature]] = {}
    for pool in read:
        if pool.feature:
            by_stanza.setdefault(stanza_of(pool.backend), set()).add(
                pool.feature)
    silent = []
    for name, fault in sorted(faults.items()):
        if name in reporting:
            continue
        # Another host that serves the same stanza tells its tags.
        twins = by_stanza.get(stanza_of(name), set())
        reason = fault or 'it has not reported to the scheduler yet'
        if len(twins) == 1:
            read.append(placement.Pool(name, next(iter(twins)), up=False,
                                       down_reason=reason))
        else:
            silent.append(Silent(name, f'{reason}; its tags are unknown '
                                       'until it reports'))
    up = sum(1 for s in known if s['binary'] == 'cinder-scheduler'
             and s['state'] == 'up' and s['status'] == 'enabled')
    return Storage(tuple(read), tuple(silent), max(up, 1))


def _pool(answer: Answer, faults: Mapping[str, str]) -> placement.Pool:
    name = answer['name']
    try:
        pool = placement.Pool.from_capabilities(name, answer['capabilities'])
    except exceptions.FeatureConfigError as error:
        return placement.Pool(name, up=False, down_reason=str(error))
    fault = faults.get(service_of(name), '')
    if fault:
        return dataclasses.replace(pool, up=False, down_reason=fault)
    return pool


def service_of(backend: str) -> str:
    """Return the name of a backend without its pool."""
    return backend.partition('#')[0]


def stanza_of(backend: str) -> str:
    """Return the name of a backend's stanza in cinder.conf."""
    return service_of(backend).rpartition('@')[2]


def _faults(services: Iterable[Answer]) -> dict[str, str]:
    """Return by backend why it gets no volumes; '' if it does.

    A cluster of services works as long as one of them does.
    """
    found: dict[str, str] = {}
    for service in services:
        name = service.get('cluster') or service['host']
        fault = _fault(service)
        if not fault or name not in found:
            found[name] = fault
    return found


def _fault(service: Answer) -> str:
    if service['status'] != 'enabled':
        why = service.get('disabled_reason')
        return f'its service is disabled{f": {why}" if why else ""}'
    if service.get('frozen'):
        return 'its service is frozen'
    if service['state'] != 'up':
        seen = service.get('updated_at')
        since = f' since {seen.partition(".")[0]} UTC' if seen else ''
        return f'its cinder-volume service is down, not heard of{since}'
    return ''


@dataclasses.dataclass(frozen=True)
class TagRow:
    """One tag, for the list.

    Amounts are in GiB and of what is up, each cluster counted once; None
    where a backend does not know.

    :param state: a :class:`plan.State`, or ``down`` where the type is served
        and no backend is up
    """

    word: str
    kind: str | None
    type_name: str | None
    state: str
    asks: str | None
    up: int
    backends: int
    capacity_gb: float | None
    used_gb: float | None
    provisioned_gb: float | None


def tag_rows(storage: Storage,
             types: Iterable[plan.ExistingType]) -> list[TagRow]:
    """Return a row per tag, and per type of ours whose tag is gone."""
    first_level = storage.catalog.first_level
    found = plan.plan(first_level.values(), types)
    rows = []
    for word in sorted([*first_level, *found.unserved]):
        feature = first_level.get(word)
        pools = [p for p in storage.pools
                 if p.feature and word in p.feature.words]
        serving = [p for p in pools if p.up]
        state = found.state_of(word)
        standing = found.type_of(word)
        groups = _by_cluster(serving)
        rows.append(TagRow(
            word, feature.kind if feature else None,
            standing.name if standing else None,
            'down' if state is plan.State.SERVED and not serving
            else state.value,
            standing.asks if standing else None,
            len(serving), len(pools),
            _total(g[0].total_gb for g in groups),
            _total(g[0].total_gb - g[0].free_gb for g in groups),
            _total(placement.load_of(g).used_gb for g in groups)))
    return rows


def _by_cluster(pools: Iterable[placement.Pool],
                ) -> list[list[placement.Pool]]:
    """Group the backends that fill one cluster."""
    groups: dict[tuple[str, str], list[placement.Pool]] = {}
    for pool in pools:
        groups.setdefault(pool.key, []).append(pool)
    return list(groups.values())


def _total(amounts: Iterable[float]) -> float | None:
    total = sum(amounts, 0.0)
    return total if math.isfinite(total) else None


def refuse_others(storage: Storage, require: features.Expression | None,
                  accepted: Sequence[Answer], why: str) -> Storage:
    """Take out the backends that Cinder's own filters refuse.

    :param accepted: the items of ``get_pools`` for the volume type
    :param require: as for :func:`mark_refused`
    """
    names = {answer['name'] for answer in accepted}
    return dataclasses.replace(storage, pools=tuple(mark_refused(
        storage.pools, require,
        {pool.backend for pool in storage.pools} - names, why)))


def mark_refused(pools: Iterable[placement.Pool],
                 require: features.Expression | None,
                 refused: Container[str], why: str) -> list[placement.Pool]:
    """Return backends, with a reason on those that Cinder's filters refuse.

    :param require: what is asked for; backends without it stay as they are,
        since that is reason enough
    :param refused: their names
    :param why: what the type asks for beyond features
    """
    def is_refused(pool: placement.Pool) -> bool:
        words = pool.feature.words if pool.feature else {}
        return (pool.up and pool.backend in refused
                and (require is None or require.matches(words)))

    reason = f"the type's other extra specs refuse it: {why}"
    return [dataclasses.replace(pool, up=False, down_reason=reason)
            if is_refused(pool) else pool for pool in pools]
