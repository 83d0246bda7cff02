# SPDX-License-Identifier: Apache-2.0
"""Which volumes go where. Pure.

A destination is always one that placement accepts, judged with loads that
count what the plan has moved so far.
"""

from collections.abc import Iterable
from collections.abc import Sequence

from cinder_tagged import placement
from cinder_tagged.moves import balance
from cinder_tagged.moves import books as books_mod
from cinder_tagged.moves import model


def drain(title: str, volumes: Sequence[model.Volume],
          pools: Iterable[placement.Pool], sources: frozenset[str],
          policy: placement.Policy) -> model.Plan:
    """Plan to empty some backends, greatest volumes first.

    :param volumes: every volume, also those elsewhere: they take room
    :param sources: names of the backends; nothing goes to another backend
        of the same cluster either
    :param policy: by which placement chooses
    """
    books = books_mod.Books(pools, volumes)
    shut = sources | books.beside(sources)
    plan = model.Plan(title, [])
    for volume in sorted((v for v in volumes if v.backend in sources),
                         key=lambda v: (-v.size_gb, v.id)):
        if volume.obstacle:
            plan.left.append(_left(volume, volume.obstacle))
            continue
        decision = books.judge(volume.wish, volume.size_gb, policy, shut)
        if decision.chosen is None:
            plan.left.append(_left(volume, _nowhere(decision, shut)))
            continue
        target = decision.chosen.backend
        books.move(volume.size_gb, volume.backend, target)
        plan.moves.append(_move(volume, target))
    plan.shares = books.shares()
    return plan


def _nowhere(decision: placement.Decision, shut: frozenset[str]) -> str:
    """Say why no other cluster takes a volume."""
    others = [f'{verdict.cluster or verdict.backend} '
              f'({"; ".join(verdict.reasons)})'
              for verdict in decision.verdicts if verdict.backend not in shut]
    return 'no other cluster takes it: ' + (
        ', '.join(dict.fromkeys(others)) or 'there is none')


def rebalance(title: str, volumes: Sequence[model.Volume],
              pools: Iterable[placement.Pool], tolerance: float,
              within: frozenset[str] | None = None) -> model.Plan:
    """Plan to bring loads in proportion to weights, with few moves.

    :param volumes: every volume
    :param tolerance: by what part a cluster may hold more per weight than
        another that could take its volumes, such as 0.05
    :param within: names of backends: only between these; None for all
    """
    books = books_mod.Books(pools, volumes)
    inside = frozenset(books.pools) if within is None else within
    known = [v for v in volumes if v.backend in inside]
    routes = [_Route(group, books, inside) for group in balance.groups(
        v for v in known if not v.obstacle and books.pools[v.backend].up)]
    plan = model.Plan(title, [])
    while steps := [step for route in routes
                    if (step := route.step(tolerance))]:
        best = max(steps, key=lambda step: step.excess)
        best.group.take(best.volume)
        books.move(best.volume.size_gb, best.volume.backend, best.target)
        plan.moves.append(_move(best.volume, best.target))
    plan.aside = [_left(v, v.obstacle) for v in known if v.obstacle]
    plan.shares = books.shares()
    return plan


class _Route:
    """Where volumes that ask for the same may go.

    :param inside: backends that take part
    """

    def __init__(self, group: balance.Group, books: books_mod.Books,
                 inside: frozenset[str]) -> None:
        self._group = group
        self._books = books
        # Without a size: room changes as the plan grows, the rest does not.
        decision = books.judge(group.wish, 0,
                               placement.get_policy('proportional'),
                               frozenset(books.pools) - inside)
        self._open = [v.backend for v in decision.verdicts if v.accepted]

    def step(self, tolerance: float) -> balance.Step | None:
        return balance.step(
            self._group, [self._side(name) for name in self._group.holders],
            [self._side(name) for name in self._open], tolerance)

    def _side(self, backend: str) -> balance.Side:
        pool = self._books.pools[backend]
        return balance.Side(
            backend, pool.key, self._books.load(pool.key).used_gb,
            pool.weight,
            self._books.room_gb(backend, self._group.wish.thin))


def _move(volume: model.Volume, target: str) -> model.Move:
    return model.Move(volume.id, volume.name, volume.size_gb, volume.backend,
                      target)


def _left(volume: model.Volume, why: str) -> model.Left:
    return model.Left(volume.id, volume.name, volume.size_gb, volume.backend,
                      why)
