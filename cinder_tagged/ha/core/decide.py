# SPDX-License-Identifier: Apache-2.0
"""The agent's brain: ``decide(state, now) -> (state, actions)``.

Invariants.  With any loss, delay, duplication and reordering of messages and
of etcd's answers, any pause or death of a process, and clocks whose rates
differ by no more than ``timing.drift``:

1. *Never held twice.*  At no instant do the kernels of two nodes pass one
   role's address.  A holder's gate is opened only up to ``authority``: the
   sending of its last confirmed renewal plus ``hold``.  The taker's claim
   is a swap on the exact revision of the last renewal, so it knows that
   renewal; ``seen_at`` bounds the time of its sending from above, and the
   taker's gate stays shut until ``seen_at + timing.wait(hold)`` unless the
   one before vouched that its own is shut for good.
2. *Epochs only grow*, and two processes never hold the same one.
3. *One write in flight* per role and node, each with its own number.
4. *Without etcd nobody takes*, and the holder lets go within ``hold``.
5. *An unfit node does not take*: faulty, on standby, stopping, or behind in
   its data.

A paused machine, kernel and all, is outside of 1: its clocks stand still.
Writes to a back end should carry the epoch for that case.
"""


from cinder_tagged.ha.core import actions as act
from cinder_tagged.ha.core import follow
from cinder_tagged.ha.core import hand
from cinder_tagged.ha.core import hold
from cinder_tagged.ha.core import membership
from cinder_tagged.ha.core import messages
from cinder_tagged.ha.core import observe
from cinder_tagged.ha.core import state as st
from cinder_tagged.ha.core.turn import Turn

_STEPS = {
    st.Phase.FOLLOWING: follow.following,
    st.Phase.HOLDING: hold.holding,
    st.Phase.HANDING: hand.handing,
    st.Phase.LEAVING: hold.leaving,
}


def decide(node: st.NodeState,
           now: float) -> tuple[st.NodeState, list[act.Action]]:
    """Return the next state, and what is to be done, in that order."""
    actions: list[act.Action] = []
    node = _notice_pause(node, now, actions)
    for name in node.roles:
        node = _decide_role(node, name, now, actions)
    if now >= node.beat_due or _has_news(node, now, actions):
        beat = compose_beat(node, now)
        to = membership.targets(node)
        if to:
            actions.append(act.Send(to, beat))
        node = node.evolve(beats=node.beats + 1, told_silent=beat.silent,
                           beat_due=now + node.timing.beat)
    return node.evolve(last_decided=now), actions


def _has_news(node: st.NodeState, now: float,
              actions: list[act.Action]) -> bool:
    """True if peers count time from what this node knows since now.

    That is a renewal which is being sent, and a holder that fell silent.
    """
    if any(isinstance(a, act.Write) and a.kind == 'renew' for a in actions):
        return True
    core = membership.core_nodes(node)
    return any(
        role.record.holder not in node.told_silent
        and membership.is_silent(node, core, role.record.holder, now)
        for role in node.roles.values()
        if role.record is not None and role.record.holder in core
        and role.record.holder != node.me.node)


def _notice_pause(node: st.NodeState, now: float,
                  actions: list[act.Action]) -> st.NodeState:
    """After a pause of its own, a node must not take silence for death."""
    gap = now - node.last_decided
    if gap <= node.timing.suspect:
        return node
    if node.last_decided != st.NEVER:
        actions.append(act.Note('paused', '', {'seconds': round(gap, 3)}))
        for role in node.roles.values():
            node = observe.put(node, role.evolve(
                announce_due=now, free_since=None))
        # What was written meanwhile did not wait for this node's copy.
        node = node.evolve(data_ready=False)
    return node.evolve(grace_from=now, etcd_ok_since=(
        None if node.etcd_ok_since is None else now))


def _decide_role(node: st.NodeState, name: str, now: float,
                 actions: list[act.Action]) -> st.NodeState:
    for _ in range(4):
        turn = Turn(node, node.roles[name], now)
        before = turn.role.phase
        _STEPS[before](turn)
        _acknowledge(turn)
        actions.extend(turn.actions)
        if turn.role is not node.roles[name]:
            node = observe.put(node, turn.role)
        if turn.role.phase is before:
            break
    return node


def _acknowledge(turn: Turn) -> None:
    """Carry out a first message once, acknowledge it each time."""
    role = turn.role
    first = role.first
    if first is None or first.epoch < role.applied:
        return
    if role.applied >= first.epoch:
        if role.ack_to:
            turn.do(act.Send((role.ack_to,), messages.Ack(
                role.name, first.epoch)))
            turn.set(ack_to='')
    elif role.applying < first.epoch:
        turn.set(applying=first.epoch)
        turn.do(act.Reconfigure(first))


def compose_beat(node: st.NodeState, now: float) -> messages.Beat:
    """What this node tells its peers at this beat."""
    holdings = tuple(
        messages.Holding(
            role.name, role.record, _age(now, role.seen_at),
            role.gate_until > now, *_sending(role, now))
        for role in node.roles.values()
        if role.record is not None and node.mine(role))
    why = membership.ineligible(node)
    return messages.Beat(
        silent=membership.silent_names(node, now), eligible=not why, why=why,
        load=node.load, data=node.data, mac=node.mac, holdings=holdings,
        applied={role.name: role.applied for role in node.roles.values()})


def _age(now: float, at: float) -> float:
    return round(max(0.0, now - at), 6)


def _sending(role: st.RoleState, now: float) -> tuple[int, float]:
    """Number and age of the renewal in flight, (0, 0.0) if none is."""
    pending = role.pending
    if pending is None or pending.kind != 'renew':
        return 0, 0.0
    return pending.record.seq, _age(now, pending.sent_at)


def wake_at(node: st.NodeState) -> float:
    """When ``decide`` has to be called next if nothing is observed."""
    due = node.beat_due
    for role in node.roles.values():
        if role.phase is st.Phase.HOLDING:
            if role.pending is None:
                due = min(due, role.renew_due)
            if not role.opened and role.conflict_until <= node.last_decided:
                due = min(due, role.open_at)
    return due
