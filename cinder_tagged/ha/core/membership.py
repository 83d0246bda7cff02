# SPDX-License-Identifier: Apache-2.0
"""Who watches whom, who is silent, and who could take a role.

Up to ``council`` nodes, everybody beats to everybody at the set period.  In
a larger cloud the council (spread over racks) and the holders do so among
themselves; a beat between them and any other node goes every
``slow_factor`` beats, and two ordinary nodes do not beat to each other.  So
the number of datagrams grows with nodes x council, not with nodes squared.
"""

from collections.abc import Iterable
from collections.abc import Mapping

from cinder_tagged.ha.core import state as st
from cinder_tagged.ha.core import strategy

#: Why a node that ends by itself cannot control: its last word to all.
STOPPING = 'stopping'


def choose_council(members: Iterable[st.Member], size: int) -> frozenset[str]:
    """Take members from rack after rack, by priority, up to ``size``."""
    racks: dict[str, list[st.Member]] = {}
    for member in sorted(members, key=lambda m: (-m.priority, m.name)):
        racks.setdefault(member.rack, []).append(member)
    queues = [racks[name] for name in sorted(racks)]
    chosen: list[str] = []
    while len(chosen) < size and any(queues):
        for queue in queues:
            if queue and len(chosen) < size:
                chosen.append(queue.pop(0).name)
    return frozenset(chosen)


def core_nodes(node: st.NodeState) -> frozenset[str]:
    """Council and known holders: those that beat at the set period."""
    holders = {role.record.holder for role in node.roles.values()
               if role.record is not None and role.record.holder}
    return node.council | frozenset(holders & node.members.keys())


def period(node: st.NodeState, core: frozenset[str], peer: str) -> float:
    """Seconds between two beats to or from ``peer``; inf: none expected."""
    near = (node.me.node in core) + (peer in core)
    if near == 2:
        return node.timing.beat
    if near == 1:
        return node.timing.beat * node.timing.slow_factor
    return float('inf')


def targets(node: st.NodeState) -> tuple[str, ...]:
    """Return the peers that this node's beat number ``beats`` goes to."""
    core = core_nodes(node)
    slow = node.timing.slow_factor
    phase = node.beats % slow
    out = []
    for index, name in enumerate(node.members):
        if name == node.me.node:
            continue
        near = (node.me.node in core) + (name in core)
        if near == 2 or (near == 1 and index % slow == phase):
            out.append(name)
    return tuple(out)


def is_silent(node: st.NodeState, core: frozenset[str], name: str,
              now: float, beats: float = 0.0) -> bool:
    """True if ``name`` was not heard for the suspicion time.

    With ``beats`` given, that many beats of silence are enough.
    """
    every = period(node, core, name)
    if every == float('inf'):
        return False
    limit = (every * beats if beats
             else node.timing.suspect * every / node.timing.beat)
    peer = node.peers.get(name)
    last = max(peer.heard_at if peer else st.NEVER, node.grace_from)
    return now - last > limit


def silent_names(node: st.NodeState, now: float) -> tuple[str, ...]:
    """Council members and holders that this node does not hear."""
    core = core_nodes(node)
    return tuple(sorted(
        name for name in core
        if name != node.me.node and is_silent(node, core, name, now)))


def live_peers(node: st.NodeState, now: float) -> Mapping[str, st.Peer]:
    """Peers heard within the suspicion time."""
    core = core_nodes(node)
    return {name: peer for name, peer in node.peers.items()
            if not is_silent(node, core, name, now)
            and period(node, core, name) != float('inf')}


def majority_misses(node: st.NodeState, holder: str, now: float) -> str:
    """Say why the council holds ``holder`` for dead, or '' if it does not.

    The voices are this node and the council members that it hears.  They
    must be more than half of the council, and more than half of them must
    miss the holder: a node that one peer cannot hear is not dead.
    """
    if node.me.node not in node.council:
        return ''
    core = core_nodes(node)
    if not is_silent(node, core, holder, now):
        return ''
    live = live_peers(node, now)
    voices = [name for name in live
              if name in node.council and name != holder]
    total = len(voices) + 1
    if 2 * total <= len(node.council):
        return ''
    missing = 1 + sum(holder in live[name].beat.silent for name in voices)
    if 2 * missing <= total:
        return ''
    return f'{missing} of {total} council voices do not hear {holder}'


def dead_names(node: st.NodeState, now: float) -> tuple[str, ...]:
    """Council members and holders that the council holds for dead.

    They were silent for ``timing.bury``, and did not say goodbye.
    """
    found = []
    for name in node.told_silent:
        peer = node.peers.get(name)
        if peer is None or peer.beat.why == STOPPING:
            continue
        if (now - max(peer.heard_at, node.grace_from) > node.timing.bury
                and majority_misses(node, name, now)):
            found.append(name)
    return tuple(found)


def unfit(node: st.NodeState) -> str:
    """Say why this node should pass on what it holds, or ''."""
    if node.stopping:
        return STOPPING
    if node.standby:
        return 'standby'
    if node.faults:
        return 'faults: ' + ', '.join(sorted(node.faults))
    return ''


def ineligible(node: st.NodeState) -> str:
    """Say why this node may not take control, or ''."""
    why = unfit(node)
    if why:
        return why
    if not node.data_ready:
        return 'its data is not caught up'
    if node.etcd_ok_since is None:
        return 'etcd does not answer'
    return ''


def ranking(node: st.NodeState, role: st.RoleState, now: float) -> list[str]:
    """Names that could take ``role``, the first to take first."""
    names = [name for name, peer in live_peers(node, now).items()
             if peer.beat.eligible and name in node.members
             and role.avoid.get(name, st.NEVER) <= now]
    if not ineligible(node):
        names.append(node.me.node)
    lost = role.record.holder if role.record else ''
    rack = node.members[lost].rack if lost in node.members else ''
    loads = {name: peer.beat.load for name, peer in node.peers.items()}
    loads[node.me.node] = node.load
    return strategy.order(
        strategy.STRATEGIES[role.strategy], role.name,
        [strategy.Candidate(
            name, node.members[name].rack, node.members[name].priority,
            loads[name]) for name in names], rack)
