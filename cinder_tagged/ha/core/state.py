# SPDX-License-Identifier: Apache-2.0
"""What one agent knows.  Times are seconds of the node's own clock."""

from collections.abc import Mapping
import dataclasses
import enum
from typing import Any
from typing import Self

from cinder_tagged.ha.core import messages
from cinder_tagged.ha.core import record as rec
from cinder_tagged.ha.core import timing as timings

NEVER = float('-inf')


@dataclasses.dataclass(frozen=True, slots=True)
class Member:
    """A node of the cloud, from configuration."""

    name: str
    address: str
    rack: str = ''
    priority: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Peer:
    """The last beat heard from another node."""

    heard_at: float
    beat: messages.Beat


class Phase(enum.Enum):
    """Controlled (FOLLOWING) or controlling, and the ways between."""

    FOLLOWING = 'following'
    HOLDING = 'holding'
    HANDING = 'handing'
    LEAVING = 'leaving'


@dataclasses.dataclass(frozen=True, slots=True)
class Pending:
    """The one write in flight for a role."""

    kind: str
    record: rec.Record
    expect: int
    sent_at: float


@dataclasses.dataclass(frozen=True, slots=True)
class Wish:
    """Somebody wants this holder to pass the role on."""

    target: str
    broadcast: bool
    why: str
    until: float = NEVER


@dataclasses.dataclass(frozen=True, slots=True)
class Handing:
    """A transfer under way, seen from the node that gives."""

    target: str
    broadcast: bool
    why: str
    epoch: int
    send_due: float = NEVER
    sent: bool = False
    ready: bool = False
    declined: str = ''


class Evolving:
    """A frozen dataclass that is copied often and has many fields.

    dataclasses.replace() runs __init__ over all of them, twenty times as
    slow as copying the instance's dictionary.
    """

    def evolve(self, **changes: Any) -> Self:
        """Return a copy with ``changes``; names must be fields."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other.__dict__.update(changes)
        return other


@dataclasses.dataclass(frozen=True)
class RoleState(Evolving):
    """One role as this node sees it and holds it."""

    name: str
    address: str = ''
    strategy: str = 'priority'
    phase: Phase = Phase.FOLLOWING
    # The record: its newest known revision, an upper bound of the time its
    # write was sent, and when a read that still returned it was sent.
    record: rec.Record | None = None
    seen_at: float = NEVER
    learned_at: float = NEVER
    confirmed_at: float = NEVER
    floor: int = 0
    shut_seen: int = 0
    # A renewal that its holder said to be sending, and the latest time at
    # which it can have been sent.
    announced_write: tuple[str, str, int] = ('', '', 0)
    announced_at: float = NEVER
    # Reading and claiming.
    reading: bool = False
    read_due: float = NEVER
    retry_at: float = NEVER
    free_since: float | None = None
    free_why: str = ''
    pending: Pending | None = None
    writes: int = 0
    # My own claim.
    epoch: int = 0
    authority: float = NEVER
    open_at: float = float('inf')
    needs: int = 0
    opened: bool = False
    gate_until: float = NEVER
    address_on: bool = False
    renew_due: float = NEVER
    announce_due: float = NEVER
    announced: int = 0
    certified: int = 0
    # Passing on.
    wish: Wish | None = None
    handing: Handing | None = None
    handed_by: str = ''
    avoid: Mapping[str, float] = dataclasses.field(default_factory=dict)
    declined_epoch: int = 0
    # First messages, sent and received.
    acked: frozenset[str] = frozenset()
    first_due: float = NEVER
    first: messages.First | None = None
    ack_to: str = ''
    applying: int = 0
    applied: int = 0
    # Dead nodes whose work this holder has had taken over.
    buried: frozenset[str] = frozenset()
    conflict_until: float = NEVER
    conflict_mac: str = ''


@dataclasses.dataclass(frozen=True)
class NodeState(Evolving):
    """Everything that one agent's decisions hang on."""

    me: rec.Identity
    members: Mapping[str, Member]
    timing: timings.Timing
    council: frozenset[str]
    peers: Mapping[str, Peer] = dataclasses.field(default_factory=dict)
    roles: Mapping[str, RoleState] = dataclasses.field(default_factory=dict)
    faults: frozenset[str] = frozenset({'starting'})
    standby: bool = False
    stopping: bool = False
    load: float = 0.0
    mac: str = ''
    data: int = 0
    data_ready: bool = True
    etcd_ok_since: float | None = None
    grace_from: float = NEVER
    last_decided: float = NEVER
    beat_due: float = NEVER
    beats: int = 0
    told_silent: tuple[str, ...] = ()

    def mine(self, role: RoleState) -> bool:
        """True if the record names this very process."""
        return (role.record is not None
                and role.record.holder == self.me.node
                and role.record.instance == self.me.instance)
