# SPDX-License-Identifier: Apache-2.0
"""Fold one observation into the state; nothing is decided here."""

import dataclasses

from cinder_tagged.ha.core import messages
from cinder_tagged.ha.core import record as rec
from cinder_tagged.ha.core import state as st


@dataclasses.dataclass(frozen=True, slots=True)
class Heard:
    """An authenticated, fresh message from ``sender``."""

    sender: str
    message: messages.Message


@dataclasses.dataclass(frozen=True, slots=True)
class ReadDone:
    """A linearizable read sent at ``sent_at``; None if it failed."""

    role: str
    sent_at: float
    record: rec.Record | None
    shut: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class WriteDone:
    """How a compare-and-swap ended.

    ``record`` is the present one (ours if won, the other's if lost), None if
    nobody answered: the write may have landed, or may still land.
    """

    role: str
    write: rec.Record
    won: bool
    record: rec.Record | None
    shut: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Health:
    """The node's own faults by name; empty means sound."""

    faults: frozenset[str]
    load: float = 0.0


@dataclasses.dataclass(frozen=True, slots=True)
class Data:
    """Replicated data: revision applied here, and whether it is all."""

    revision: int
    ready: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Conflict:
    """A foreign NIC answers for the role's address."""

    role: str
    mac: str


@dataclasses.dataclass(frozen=True, slots=True)
class Applied:
    """The configuration points at the holder of that epoch."""

    role: str
    epoch: int


@dataclasses.dataclass(frozen=True, slots=True)
class GateFailed:
    """The kernel refused to open the gate or take the address."""

    role: str
    why: str


@dataclasses.dataclass(frozen=True, slots=True)
class Operator:
    """An administrator's word: switch, standby, resume or stop."""

    verb: str
    role: str = ''
    target: str = ''
    broadcast: bool = False


Observation = (Heard | ReadDone | WriteDone | Health | Data | Conflict
               | Applied | GateFailed | Operator)


def learn(role: st.RoleState, record: rec.Record, bound: float,
          now: float) -> st.RoleState:
    """Take over a record if it is newer, or a tighter bound of its time."""
    known = role.record
    floor = max(role.floor, record.epoch)
    if (record.holder, record.instance, record.seq) == role.announced_write:
        bound = min(bound, role.announced_at)
    if known is None or record.revision > known.revision:
        return role.evolve(record=record, seen_at=bound, learned_at=now,
            confirmed_at=st.NEVER, floor=floor)
    if record.revision == known.revision and bound < role.seen_at:
        return role.evolve(seen_at=bound)
    return role


def observe(node: st.NodeState, seen: Observation,
            now: float) -> st.NodeState:
    """Return the state that knows ``seen``."""
    if isinstance(seen, Heard):
        return _heard(node, seen.sender, seen.message, now)
    if isinstance(seen, Health):
        return node.evolve(faults=seen.faults, load=seen.load)
    if isinstance(seen, Data):
        return node.evolve(data=seen.revision, data_ready=seen.ready)
    if isinstance(seen, Operator) and seen.verb != 'switch':
        return node.evolve(standby=seen.verb == 'standby' or (
                node.standby and seen.verb != 'resume'),
            stopping=node.stopping or seen.verb == 'stop', beat_due=now)
    role = node.roles.get(seen.role)
    if role is None:
        return node
    if isinstance(seen, ReadDone):
        return _read(node, role, seen, now)
    if isinstance(seen, WriteDone):
        return _written(node, role, seen, now)
    if isinstance(seen, Conflict):
        role = role.evolve(conflict_until=now + node.timing.conflict,
            conflict_mac=seen.mac)
    elif isinstance(seen, Applied):
        role = role.evolve(
            applied=max(role.applied, seen.epoch), applying=0)
    elif isinstance(seen, GateFailed):
        return node.evolve(
            faults=node.faults | {f'gate of {role.name}: {seen.why}'})
    elif isinstance(seen, Operator):
        role = role.evolve(wish=st.Wish(
            seen.target, seen.broadcast, 'asked for by the administrator',
            now + 4 * node.timing.request))
    return put(node, role)


def put(node: st.NodeState, role: st.RoleState) -> st.NodeState:
    """Return ``node`` with ``role`` in place of its namesake."""
    return node.evolve(roles={**node.roles, role.name: role})


def _etcd_answers(node: st.NodeState, ok: bool, now: float) -> st.NodeState:
    if not ok:
        return node.evolve(etcd_ok_since=None)
    if node.etcd_ok_since is None:
        return node.evolve(etcd_ok_since=now)
    return node


def _read(node: st.NodeState, role: st.RoleState, seen: ReadDone,
          now: float) -> st.NodeState:
    node = _etcd_answers(node, seen.record is not None, now)
    role = role.evolve(reading=False)
    if seen.record is None:
        return put(node, role)
    known = role.record
    if (known is not None and seen.record.revision < known.revision
            and seen.sent_at > role.learned_at):
        # etcd went backwards (restored, or the key was deleted): what was
        # known is void, but epochs still must not be used again.
        role = role.evolve(record=None)
    role = learn(role, seen.record, now, now)
    if role.record is not None and (
            role.record.revision == seen.record.revision):
        role = role.evolve(confirmed_at=max(role.confirmed_at, seen.sent_at))
    role = role.evolve(shut_seen=max(role.shut_seen, seen.shut))
    return put(node, role)


def _written(node: st.NodeState, role: st.RoleState, seen: WriteDone,
             now: float) -> st.NodeState:
    node = _etcd_answers(node, seen.record is not None, now)
    pending = role.pending
    if pending is None or pending.record != seen.write:
        return node
    role = role.evolve(pending=None)
    if seen.record is None:
        # It may have landed: look before anything else is written.
        return put(node, role.evolve(read_due=now))
    won = seen.won or pending.record.same_write(seen.record)
    bound = pending.sent_at if won else now
    role = learn(role, seen.record, bound, now)
    role = role.evolve(shut_seen=max(role.shut_seen, seen.shut))
    if won and node.mine(role):
        role = role.evolve(authority=max(
            role.authority, pending.sent_at + node.timing.hold))
    elif not won and not (pending.kind == 'claim' and
                          seen.record.epoch < pending.record.epoch):
        # A claim that only lost to a renewal is tried again at once.
        role = role.evolve(retry_at=now + node.timing.beat)
    return put(node, role)


def _heard(node: st.NodeState, sender: str, message: messages.Message,
           now: float) -> st.NodeState:
    if sender not in node.members or sender == node.me.node:
        return node
    if isinstance(message, messages.Beat):
        return _beat(node, sender, message, now)
    role = node.roles.get(message.role)
    if role is None:
        return node
    if isinstance(message, messages.First):
        if message.epoch >= role.applied:
            role = role.evolve(first=message, ack_to=sender,
                floor=max(role.floor, message.epoch))
    elif isinstance(message, messages.Second | messages.Third):
        role = learn(role, message.record, now, now)
        role = role.evolve(handed_by=sender)
    elif isinstance(message, messages.Switch):
        role = role.evolve(wish=st.Wish(
            message.target, message.broadcast, f'asked for by {sender}',
            now + 4 * node.timing.request))
    elif isinstance(message, messages.Released):
        role = role.evolve(
            shut_seen=max(role.shut_seen, message.epoch), read_due=now)
    elif isinstance(message, messages.Ack):
        if message.epoch == role.epoch:
            role = role.evolve(acked=role.acked | {sender})
    else:
        role = _answer(role, sender, message)
    return put(node, role)


def _answer(role: st.RoleState, sender: str,
            message: messages.Ready | messages.Declined) -> st.RoleState:
    handing = role.handing
    if (handing is None or handing.target != sender
            or handing.epoch != message.epoch):
        return role
    if isinstance(message, messages.Ready):
        handing = dataclasses.replace(handing, ready=True)
    else:
        handing = dataclasses.replace(handing, declined=message.why)
    return role.evolve(handing=handing)


def _announced(role: st.RoleState, holding: messages.Holding,
               now: float) -> st.RoleState:
    """Note a renewal that is being sent.

    A number is used for one write only, so whoever meets it in the record
    knows when it was sent, although its holder died before it could tell
    that it landed.
    """
    write = (holding.record.holder, holding.record.instance,
             holding.sending)
    if not holding.sending:
        return role
    bound = now - max(0.0, holding.sending_age)
    if write == role.announced_write:
        bound = min(bound, role.announced_at)
    return role.evolve(announced_write=write, announced_at=bound)


def _beat(node: st.NodeState, sender: str, beat: messages.Beat,
          now: float) -> st.NodeState:
    roles = dict(node.roles)
    for holding in beat.holdings:
        role = roles.get(holding.role)
        if role is not None and holding.record.holder == sender:
            roles[role.name] = _announced(learn(
                role, holding.record, now - max(0.0, holding.age), now),
                holding, now)
    for role in node.roles.values():
        # It restarted, or never got the first message.
        if (sender in role.acked
                and beat.applied.get(role.name, 0) < role.epoch):
            roles[role.name] = roles[role.name].evolve(
                acked=role.acked - {sender})
    return node.evolve(
        roles=roles, peers={**node.peers, sender: st.Peer(now, beat)})
