# SPDX-License-Identifier: Apache-2.0
"""Judge every backend for one request, and say why.

The judgement that the scheduler's fast index makes in passing, spelled out:
for dry runs, for requests that found no place, and for notifications.
"""

from collections.abc import Iterable
import dataclasses

from cinder_tagged.placement import policy as policy_mod
from cinder_tagged.placement import pool as pool_mod
from cinder_tagged.placement import request as request_mod

#: (last room, rank, own load, backend): what backends are sorted by.
Order = tuple[bool, policy_mod.Rank, float, str]

_LIMITS = {
    'oversubscription': 'its oversubscription limit',
    'free': 'its free space',
    'capacity': 'its capacity',
    'reserved': 'its capacity without the reserved part',
}


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one backend.

    :param matched: its tags meet the request
    :param accepted: it can take the request; ``rank`` is then its place in
        the order, from 1
    :param reasons: why not, or why it stands at this rank
    :param limit: which limit of capacity refuses it, if one does
    :param room_gb: what it can still take, in GiB; may be infinite
    :param load_gb: what it holds now, in GiB
    :param share: its part of what all accepted clusters hold, 0 to 1
    :param target: the part its weight factor entitles it to, 0 to 1
    :param favoured: it is preferred, because it holds the image
    """

    backend: str
    cluster: str
    tags: tuple[str, ...]
    weight: float
    matched: bool
    accepted: bool
    reasons: tuple[str, ...]
    room_gb: float
    load_gb: float
    limit: str | None = None
    rank: int | None = None
    share: float | None = None
    target: float | None = None
    favoured: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Decision:
    """Verdicts, accepted backends first and best first."""

    request: request_mod.Request
    policy: str
    verdicts: tuple[Verdict, ...]

    @property
    def chosen(self) -> Verdict | None:
        """The backend that gets the request, if any."""
        if self.verdicts and self.verdicts[0].accepted:
            return self.verdicts[0]
        return None

    def summary(self) -> str:
        """Say in one sentence how it ended, naming no backend.

        Fit for the user who asked: operators keep names and fill levels of
        their clusters to themselves.
        """
        wanted = (f'the features {str(self.request.require)!r}'
                  if self.request.require else 'this request')
        if self.chosen:
            return f'{wanted} can be served'
        if not self.verdicts:
            return 'no storage backend is known'
        matched = [v for v in self.verdicts if v.matched]
        if not matched:
            return f'no cluster has {wanted}{self._absent()}'
        full = sum(1 for v in matched if v.limit)
        other = len(matched) - full
        parts = []
        if full:
            parts.append(f'{full} without room for '
                         f'{self.request.size_gb:g} GiB')
        if other:
            parts.append(f'{other} down or already tried')
        having = f' have {wanted}' if self.request.require else ''
        return f'{len(matched)} cluster(s){having}, but {", ".join(parts)}'

    def _absent(self) -> str:
        if not self.request.require:
            return ''
        known = {tag.rpartition(':')[2]
                 for v in self.verdicts for tag in v.tags}
        absent = sorted(self.request.require.words() - known)
        if not absent:
            return ''
        return f'; no cluster carries the tag {", ".join(absent)}'


def decide(request: request_mod.Request, pools: Iterable[pool_mod.Pool],
           policy: policy_mod.Policy, schedulers: int = 1) -> Decision:
    """Judge all backends for one request.

    :param schedulers: how many schedulers share the work
    """
    known = list(pools)
    members: dict[pool_mod.ClusterKey, list[pool_mod.Pool]] = {}
    for pool in known:
        members.setdefault(pool.key, []).append(pool)
    loads = {key: pool_mod.load_of(group) for key, group in members.items()}
    accepted = []
    refused = []
    for pool in known:
        load = loads[pool.key]
        verdict = _judge(request, pool, load)
        if not verdict.accepted:
            refused.append(verdict)
            continue
        room = pool_mod.room_of(pool, load, request.thin)
        order = order_key(policy, pool, load, room, request, schedulers)
        accepted.append((order, pool.key, verdict))
    accepted.sort(key=lambda item: item[0])
    ranked = _with_shares([(key, v) for _, key, v in accepted], policy)
    refused.sort(key=lambda v: (not v.matched, v.backend))
    return Decision(request, policy.name, tuple(ranked + refused))


def order_key(policy: policy_mod.Policy, pool: pool_mod.Pool,
              load: pool_mod.Load, room: pool_mod.Room,
              request: request_mod.Request, schedulers: int) -> Order:
    """Return what accepted backends are sorted by.

    Where several schedulers decide at once, a cluster whose room would not do
    if all of them chose it comes behind those with plenty. Loads compare in
    the same way for thick requests as for thin ones, so that an index can
    keep one order for both.

    :param room: what is left for this request
    """
    value = policy.value(load.seen_by(schedulers),
                         pool_mod.room_of(pool, load))
    size_gb = request.size_gb
    if favour := request.favour(pool):
        value = policy.favoured(value, size_gb, favour)
    return (is_tight(room, size_gb, schedulers),
            policy.rank(policy.class_of(pool.weight), value, size_gb),
            pool.allocated_gb + pool.pending_gb, pool.backend)


def is_tight(room: pool_mod.Room, size_gb: float, schedulers: int) -> bool:
    """Tell whether the room would not do if every scheduler used it."""
    return schedulers > 1 and size_gb * schedulers > room.gb


def _judge(request: request_mod.Request, pool: pool_mod.Pool,
           load: pool_mod.Load) -> Verdict:
    words = pool.feature.words if pool.feature else {}
    reasons: list[str] = []
    if request.require:
        reasons += request.require.reasons(words)
    matched = not reasons
    if not pool.up:
        reasons.append(pool.down_reason or 'it is down')
    if pool.backend in request.excluded:
        reasons.append('it was tried before and failed')
    room = pool_mod.room_of(pool, load, request.thin)
    limit = None
    # What a backend that is down says of its room means nothing.
    if pool.up and not fits(request, pool, room):
        limit = room.limit
        reasons.append(f'{request.size_gb:g} GiB asked, {max(room.gb, 0):.6g} '
                       f'GiB left by {_LIMITS[room.limit]}')
    return Verdict(
        backend=pool.backend,
        cluster=pool.feature.cluster.name if pool.feature else '',
        tags=tuple(str(t) for t in pool.feature.tags) if pool.feature else (),
        weight=pool.weight, matched=matched, accepted=not reasons,
        reasons=tuple(reasons), room_gb=room.gb, load_gb=load.used_gb,
        limit=limit, favoured=request.favour(pool) > 0)


def fits(request: request_mod.Request, pool: pool_mod.Pool,
         room: pool_mod.Room) -> bool:
    """Tell whether the room is enough for the request."""
    return (request.size_gb <= 0 or pool.backend == request.present_on
            or request.size_gb <= room.gb)


def _with_shares(ranked: list[tuple[pool_mod.ClusterKey, Verdict]],
                 policy: policy_mod.Policy) -> list[Verdict]:
    """Add rank, share and target; hosts of one cluster count once."""
    clusters = dict(ranked)
    loads = sum(v.load_gb for v in clusters.values())
    weights = sum(v.weight for v in clusters.values())
    done = []
    for place, (_, verdict) in enumerate(ranked, start=1):
        target = verdict.weight / weights if weights else 1 / len(clusters)
        share = verdict.load_gb / loads if loads else 0.0
        done.append(dataclasses.replace(
            verdict, rank=place, share=share, target=target,
            reasons=(_why(verdict, policy, share, target),)))
    return done


def _why(verdict: Verdict, policy: policy_mod.Policy, share: float,
         target: float) -> str:
    image = '; preferred, it has the image' if verdict.favoured else ''
    if not verdict.weight:
        return 'weight 0: used when nothing else can take it'
    if policy.name == 'strict':
        return f'weight {verdict.weight:g}, highest first{image}'
    if policy.name == 'capacity':
        return f'{verdict.room_gb:.6g} GiB of room, most first{image}'
    return (f'holds {share:.0%} of what these clusters hold, '
            f'weight {verdict.weight:g} entitles it to {target:.0%}{image}')
