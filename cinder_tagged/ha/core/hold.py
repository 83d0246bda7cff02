# SPDX-License-Identifier: Apache-2.0
"""A controlling node: renew, open, announce, and let go in time."""

from cinder_tagged.ha.core import actions as act
from cinder_tagged.ha.core import membership
from cinder_tagged.ha.core import messages
from cinder_tagged.ha.core import record as rec
from cinder_tagged.ha.core import state as st
from cinder_tagged.ha.core.turn import Turn

#: Seconds after the take at which the address is announced, besides the
#: periodic announcements.
BURST = (0.0, 0.05, 0.2, 0.5)


def holding(turn: Turn) -> None:
    """One turn of a node that the record names."""
    role, node = turn.role, turn.node
    if not node.mine(role) or turn.record.epoch != role.epoch:
        deposed(turn)
        return
    if turn.now >= role.authority:
        _let_go(turn)
    _renew(turn)
    if _open(turn):
        _tell(turn)
        _bury(turn)
    _consider_leaving(turn)


def deposed(turn: Turn) -> None:
    """Another node holds the role: shut, then vouch for it."""
    role = turn.role
    turn.shut()
    certify(turn)
    turn.note('deposed', own_epoch=role.epoch)
    turn.follow()


def certify(turn: Turn) -> None:
    """Tell the successor that it need not wait.

    Only a node that has been open knows that those before it are shut; and
    only one that never opens this epoch again may say so.
    """
    role = turn.role
    if not role.opened:
        return
    successor = turn.record.holder
    to = (tuple(membership.live_peers(turn.node, turn.now))
          if successor in ('', turn.node.me.node) else (successor,))
    turn.do(act.Send(to, messages.Released(role.name, role.epoch)),
            act.Certify(role.name, role.epoch))
    turn.set(certified=max(role.certified, role.epoch))


def _let_go(turn: Turn) -> None:
    """No renewal was confirmed in time; the kernel's gate is shut by now."""
    if turn.role.gate_until == st.NEVER and (
            not turn.role.address_on or not turn.role.opened):
        return
    turn.note('lapsed', why='no renewal confirmed by etcd within hold',
              late=round(turn.now - turn.role.authority, 3))
    turn.shut(lapsed=True)


def _renew(turn: Turn) -> None:
    role, node, record = turn.role, turn.node, turn.record
    if role.pending is not None or turn.now < role.renew_due:
        return
    if node.etcd_ok_since is None:
        # The last request had no answer: a write of ours may have moved the
        # revision on, so look first.
        turn.read(node.timing.beat)
        return
    turn.set(renew_due=turn.now + node.timing.renew)
    turn.write('renew', rec.renewal(record, turn.next_seq(),
                                    node.timing.hold, role.opened))


def may_open(role: st.RoleState, now: float) -> bool:
    """True if no earlier holder can have authority any more."""
    return now >= role.open_at


def _open(turn: Turn) -> bool:
    """Keep the gate open as long as authority lasts; False if it is shut."""
    role, node = turn.role, turn.node
    if not role.opened and 0 < role.needs <= role.shut_seen:
        turn.set(open_at=min(role.open_at, turn.now))
    role = turn.role
    if not role.opened:
        # The certificate ends the wait: look for it often.
        turn.read(node.timing.beat / 3)
        role = turn.role
    if not may_open(role, turn.now) or turn.now >= role.authority:
        return False
    if not role.opened and role.conflict_until > turn.now:
        if role.conflict_until - turn.now > 0.9 * node.timing.conflict:
            turn.note('refused', mac=role.conflict_mac,
                      why='a foreign NIC answers for the address')
        return False
    if role.gate_until >= role.authority:
        return True
    if not role.address_on:
        turn.do(act.AddAddress(role.name))
    fresh = role.gate_until < turn.now
    turn.do(act.Gate(role.name, role.authority))
    turn.set(gate_until=role.authority, opened=True, address_on=True)
    if fresh:
        turn.set(announced=0, announce_due=turn.now, first_due=turn.now)
        _announce(turn)
        turn.do(act.StartServices(role.name, role.epoch))
        turn.note('taken', address=role.address)
    return True


def _announce(turn: Turn) -> None:
    role, timing = turn.role, turn.node.timing
    if turn.now < role.announce_due:
        return
    step = (BURST[role.announced + 1] - BURST[role.announced]
            if role.announced + 1 < len(BURST) else timing.announce)
    turn.do(act.Announce(role.name))
    turn.set(announced=role.announced + 1, announce_due=turn.now + step)


def _tell(turn: Turn) -> None:
    """Announce on the wire, and send first messages until acknowledged."""
    _announce(turn)
    role, node = turn.role, turn.node
    if turn.now < role.first_due:
        return
    turn.set(first_due=turn.now + 4 * node.timing.beat)
    first = messages.First(role.name, role.epoch, node.me.node, role.address)
    if role.applied < role.epoch and role.applying < role.epoch:
        turn.set(applying=role.epoch)
        turn.do(act.Reconfigure(first))
    missing = tuple(name for name in membership.live_peers(node, turn.now)
                    if name not in role.acked)[:32]
    if missing:
        turn.do(act.Send(missing, first))


def _bury(turn: Turn) -> None:
    """Once for each death: have the dead node's work taken over.

    A holder does not know what the one before it did, so the work may be
    taken over twice; it must bear that.
    """
    role, node = turn.role, turn.node
    if not node.told_silent:
        turn.set(buried=frozenset())
        return
    for name in membership.dead_names(node, turn.now):
        if name not in role.buried:
            turn.note('peer_dead', node=name)
            turn.do(act.Bury(role.name, name))
            turn.set(buried=turn.role.buried | {name})
    turn.set(buried=turn.role.buried & frozenset(node.told_silent))


def _consider_leaving(turn: Turn) -> None:
    """Pass the role on if asked to, or if this node is not fit for it."""
    role, node = turn.role, turn.node
    if role.pending is not None or turn.now < role.retry_at:
        return
    if node.etcd_ok_since is None:
        return
    unfit = membership.unfit(node)
    if unfit:
        for name in membership.ranking(node, role, turn.now):
            if role.opened:
                _hand(turn, st.Wish(name, False, unfit))
                return
        _leave(turn, unfit)
    elif role.wish is not None:
        wish = role.wish
        why = _refusal(turn, wish)
        if why and turn.now < wish.until and wish.target in node.members:
            # It may be fit in a moment: one slow answer of etcd is enough
            # to make it unfit.
            return
        turn.set(wish=None)
        if why:
            turn.note('refused', why=why, target=wish.target)
        else:
            _hand(turn, wish)


def _refusal(turn: Turn, wish: st.Wish) -> str:
    node, role = turn.node, turn.role
    if wish.target == node.me.node:
        return f'{wish.target} controls {role.name} already'
    peer = membership.live_peers(node, turn.now).get(wish.target)
    if wish.target not in node.members:
        return f'{wish.target} is no member'
    if peer is None:
        return f'{wish.target} is not heard'
    if not peer.beat.eligible:
        return f'{wish.target} cannot control: {peer.beat.why}'
    if not role.opened:
        return 'this node has not opened the address itself yet'
    return ''


def _hand(turn: Turn, wish: st.Wish) -> None:
    role, node, record = turn.role, turn.node, turn.record
    turn.set(phase=st.Phase.HANDING, handing=st.Handing(
        wish.target, wish.broadcast, wish.why, role.epoch + 1))
    turn.note('handing', target=wish.target, why=wish.why)
    turn.write('transfer', rec.transfer(
        record, turn.next_seq(), wish.target, node.timing.hold))


def _leave(turn: Turn, why: str) -> None:
    role, record = turn.role, turn.record
    turn.shut()
    turn.set(phase=st.Phase.LEAVING)
    turn.note('releasing', why=why)
    turn.write('release', rec.release(record, turn.next_seq(), role.opened))


def leaving(turn: Turn) -> None:
    """The gate is shut; see the release through."""
    role, node, record = turn.role, turn.node, turn.record
    if role.pending is not None:
        return
    if not node.mine(role):
        turn.note('released')
        certify(turn)
        turn.follow()
        return
    if node.etcd_ok_since is None:
        turn.read(node.timing.beat)
    if turn.now >= role.retry_at:
        turn.set(retry_at=turn.now + node.timing.beat)
        turn.write('release',
                   rec.release(record, turn.next_seq(), role.opened))
