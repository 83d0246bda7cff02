# SPDX-License-Identifier: Apache-2.0
"""Volumes, moves and plans, as values. Pure."""

import dataclasses
import enum

from cinder_tagged import features

#: Cinder's words for a migration that is under way.
UNDER_WAY = ('starting', 'migrating', 'completing')


@dataclasses.dataclass(frozen=True, slots=True)
class Wish:
    """What a volume asks of wherever it goes.

    :param require: condition on the cluster's tags; None accepts any
    :param refused: backends that the type's other extra specs refuse
    :param thin: False if the type demands thick provisioning
    :param others: those extra specs, as text
    """

    require: features.Expression | None = None
    refused: frozenset[str] = frozenset()
    thin: bool = True
    others: str = ''


@dataclasses.dataclass(frozen=True, slots=True)
class Volume:
    """A volume, as far as moving it is concerned.

    :param backend: ``host@backend#pool`` or the same with a cluster of
        services; '' while it is nowhere
    :param obstacle: why it cannot be moved; '' if it can
    :param migration: Cinder's ``migration_status``; '' if there was none
    """

    id: str
    name: str
    size_gb: int
    backend: str
    obstacle: str = ''
    migration: str = ''
    wish: Wish = Wish()

    @property
    def is_moving(self) -> bool:
        """Cinder is moving it."""
        return self.migration in UNDER_WAY


class State(enum.StrEnum):
    """What has become of a move."""

    PLANNED = 'planned'
    MOVING = 'moving'
    MOVED = 'moved'
    FAILED = 'failed'
    GONE = 'gone'  # the volume was deleted, or moved by somebody else


@dataclasses.dataclass(slots=True)
class Move:
    """One volume that goes from one backend to another.

    :param why: what became of it, in words, where that needs words
    :param began: UNIX time at which Cinder was asked; 0 before
    :param asked: how often it was asked
    """

    volume: str
    name: str
    size_gb: int
    source: str
    target: str
    state: State = State.PLANNED
    why: str = ''
    began: float = 0.0
    ended: float = 0.0
    asked: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Left:
    """One volume that stays where it is, and why."""

    volume: str
    name: str
    size_gb: int
    source: str
    why: str


@dataclasses.dataclass(frozen=True, slots=True)
class Share:
    """What a cluster holds before and after, in GiB."""

    cluster: str
    weight: float
    before_gb: float
    after_gb: float


@dataclasses.dataclass(slots=True)
class Plan:
    """What is to be done, and what has been.

    :param title: what was asked, such as ``drain ceph-old``
    :param left: volumes that were asked to go, and cannot
    :param aside: volumes that take no part, where none was asked to go
    """

    title: str
    moves: list[Move]
    left: list[Left] = dataclasses.field(default_factory=list)
    aside: list[Left] = dataclasses.field(default_factory=list)
    shares: list[Share] = dataclasses.field(default_factory=list)

    def count(self, *states: State) -> int:
        """Return how many moves are in one of some states."""
        return sum(move.state in states for move in self.moves)

    def amount(self, *states: State) -> int:
        """Return how many GiB such moves are about."""
        return sum(move.size_gb for move in self.moves
                   if move.state in states)

    def retry(self) -> None:
        """Plan again what failed."""
        for move in self.moves:
            if move.state is State.FAILED:
                move.state, move.why = State.PLANNED, ''
                move.began, move.ended, move.asked = 0.0, 0.0, 0

    @property
    def unfinished(self) -> bool:
        """Something is still to be done or to be waited for."""
        return self.count(State.PLANNED, State.MOVING) > 0
