# SPDX-License-Identifier: Apache-2.0
"""A controlled node: does it watch on, or take the role?

Taking is safe at any time: the compare-and-swap says whether the record is
still the one seen, and ``open_at`` says when its holder's authority is over.
What is decided here is only when taking makes sense.
"""

from cinder_tagged.ha.core import actions as act
from cinder_tagged.ha.core import membership
from cinder_tagged.ha.core import messages
from cinder_tagged.ha.core import record as rec
from cinder_tagged.ha.core import state as st
from cinder_tagged.ha.core.turn import Turn


def following(turn: Turn) -> None:
    """Watch the holder; take the role when it is free and my turn."""
    role, node = turn.role, turn.node
    if (role.record is not None and node.mine(role)
            and role.record.epoch > role.certified):
        _won(turn)
        return
    if _suspicious(turn):
        turn.read(node.timing.beat)
    else:
        turn.read(node.timing.poll_idle if node.etcd_ok_since is not None
                  else node.timing.stagger)
    if role.record is None or role.pending is not None:
        return
    if role.record.holder == node.me.node and not role.record.instance:
        _accept(turn)
        return
    why = _free(turn)
    if why and role.free_since is None:
        turn.set(free_since=turn.now, free_why=why)
    elif not why:
        turn.set(free_since=None, free_why='')
    if why and turn.now >= role.retry_at:
        _take_in_turn(turn, why)


def _suspicious(turn: Turn) -> bool:
    """True if the record should be watched at every beat."""
    role, node, record = turn.role, turn.node, turn.record
    if not record.holder or not record.instance:
        return True
    if node.me.node not in node.council:
        return role.confirmed_at - role.seen_at >= record.hold
    core = membership.core_nodes(node)
    if membership.is_silent(node, core, record.holder, turn.now, beats=1.6):
        return True
    return turn.now - role.seen_at > 0.6 * record.hold


def _free(turn: Turn) -> str:
    """Say why the role may be taken, or ''."""
    role, node, record = turn.role, turn.node, turn.record
    if role.confirmed_at == st.NEVER and not record.revision:
        return ''
    if not record.revision:
        return 'no record of the role exists'
    if record.vacant or not record.holder:
        return f'released in epoch {record.epoch}'
    if record.holder == node.me.node:
        return 'held by an earlier process of this node'
    silent = membership.majority_misses(node, record.holder, turn.now)
    if silent:
        return silent
    return _lapsed(turn, record)


def _lapsed(turn: Turn, record: rec.Record) -> str:
    """The holder did not renew although etcd answered all the time."""
    role, node = turn.role, turn.node
    if role.confirmed_at - role.seen_at < record.hold:
        return ''
    since = node.etcd_ok_since
    if since is None or turn.now - since < record.hold + node.timing.request:
        return ''
    return (f'{record.holder} did not renew for '
            f'{role.confirmed_at - role.seen_at:.3f} s')


def _take_in_turn(turn: Turn, why: str) -> None:
    role, node, record = turn.role, turn.node, turn.record
    if membership.ineligible(node):
        return
    if role.conflict_until > turn.now:
        turn.set(retry_at=turn.now + node.timing.conflict / 4)
        turn.note('refused', why='a foreign NIC answers for the address',
                  mac=role.conflict_mac)
        return
    own = record.holder == node.me.node
    ranks = membership.ranking(node, role, turn.now)
    if record.holder in ranks and not own:
        # It is heard, but it is the one whose role is free.
        ranks.remove(record.holder)
    if node.me.node in node.council:
        # Others learn of the loss later; nobody waits for them.
        ranks = [name for name in ranks if name in node.council]
    rank = 0 if own else ranks.index(node.me.node)
    wait = rank * node.timing.stagger
    if node.me.node not in node.council:
        wait += node.timing.stagger * len(node.council)
    if turn.now >= (role.free_since or turn.now) + wait:
        _claim(turn, why, rank)


def _claim(turn: Turn, why: str, rank: int) -> None:
    role, node, old = turn.role, turn.node, turn.record
    new = rec.claim(old, node.me, turn.next_seq(), node.timing.hold,
                    role.floor)
    turn.set(open_at=opening(turn, old), needs=new.epoch - 1)
    turn.note('claiming', why=why, rank=rank, revision=old.revision,
              new_epoch=new.epoch,
              wait=round(max(0.0, turn.role.open_at - turn.now), 3))
    turn.write('claim', new)


def opening(turn: Turn, old: rec.Record) -> float:
    """When the authority of everybody up to ``old`` is surely over.

    ``seen_at`` bounds the sending of the last renewal in the chain.  A claim
    on that revision proves that there was no later one.
    """
    node, role = turn.node, turn.role
    hold = max(old.hold, node.timing.hold)
    if not old.revision or old.epoch < role.floor:
        # Absent or restored: somebody unknown may have renewed until now.
        return turn.now + node.timing.wait(hold)
    if old.shut >= old.epoch:
        return turn.now
    if (old.holder == node.me.node and old.boot and old.boot == node.me.boot
            and old.shut >= old.epoch - 1):
        # An earlier process of this very boot; the agent shut its gate
        # when it started.
        return turn.now
    return role.seen_at + node.timing.wait(old.hold)


def _accept(turn: Turn) -> None:
    """I am named by a second or third message: bind or decline."""
    role, node, old = turn.role, turn.node, turn.record
    why = membership.ineligible(node)
    if not why and role.conflict_until > turn.now:
        why = f'{role.conflict_mac} answers for the address'
    if why:
        if role.declined_epoch < old.epoch and role.handed_by:
            turn.do(act.Send((role.handed_by,), messages.Declined(
                role.name, old.epoch, why)))
            turn.note('declined', why=why)
            turn.set(declined_epoch=old.epoch)
        return
    if turn.now < role.retry_at:
        return
    new = rec.bind(old, node.me, turn.next_seq(), node.timing.hold)
    turn.set(open_at=role.seen_at + node.timing.wait(old.hold),
             needs=old.epoch - 1)
    turn.note('accepting', given_by=role.handed_by)
    turn.write('bind', new)


def _won(turn: Turn) -> None:
    """The record names this process: prepare everything but the gate."""
    role, node, record = turn.role, turn.node, turn.record
    if role.open_at == float('inf'):
        # A write whose answer got lost has landed after all.
        turn.set(open_at=role.seen_at + node.timing.wait(record.hold),
                 needs=record.epoch - 1)
        role = turn.role
    turn.set(phase=st.Phase.HOLDING, epoch=record.epoch, opened=False,
             renew_due=role.authority - node.timing.hold + node.timing.renew,
             free_since=None, wish=None, address_on=True,
             announced=0, acked=frozenset(), gate_until=st.NEVER)
    turn.do(act.AddAddress(role.name), act.Probe(role.name))
    if role.handed_by:
        turn.do(act.Send((role.handed_by,),
                         messages.Ready(role.name, record.epoch)))
    turn.set(handed_by='')
    turn.note('claimed', opens_in=round(max(0.0, role.open_at - turn.now), 3))
