# SPDX-License-Identifier: Apache-2.0
"""Passing the role on without a hole (C5).

The giver writes the transfer, but keeps its gate open until the target says
that it is ready.  Then it shuts and says so, and the target opens.  If the
target does not come in time the giver takes the role back: the swap can only
succeed while the target has not bound its claim.
"""

import dataclasses

from cinder_tagged.ha.core import actions as act
from cinder_tagged.ha.core import hold
from cinder_tagged.ha.core import messages
from cinder_tagged.ha.core import record as rec
from cinder_tagged.ha.core import state as st
from cinder_tagged.ha.core.turn import Turn


def handing(turn: Turn) -> None:
    """One turn of a node that is passing the role on."""
    role, node, task = turn.role, turn.node, turn.role.handing
    record = turn.record
    if task is None:
        return
    if node.mine(role):
        _unsent(turn, task, record)
        return
    bound = record.instance or record.epoch != task.epoch
    if task.ready or bound:
        turn.shut()
        hold.certify(turn)
        turn.note('handed_over', target=record.holder)
        turn.follow()
    elif turn.now >= role.authority:
        turn.shut()
        turn.note('handed_over', target=record.holder,
                  why='authority ended before the target answered')
        hold.certify(turn)
        turn.follow()
    elif task.declined or turn.now >= rollback_at(role, node):
        _roll_back(turn, task, record)
    else:
        _send(turn, task, record)


def rollback_at(role: st.RoleState, node: st.NodeState) -> float:
    """Latest time at which taking the role back leaves no hole."""
    return role.authority - 1.2 * node.timing.request


def _unsent(turn: Turn, task: st.Handing, record: rec.Record) -> None:
    """The transfer is not in the record (yet), or was taken back."""
    role = turn.role
    if role.pending is not None:
        return
    turn.set(phase=st.Phase.HOLDING, handing=None)
    if record.epoch == role.epoch:
        turn.note('rolled_back', target=task.target,
                  why='the transfer did not reach etcd')
    else:
        turn.set(epoch=record.epoch, needs=record.epoch - 1,
                 shut_seen=max(role.shut_seen, record.epoch - 1),
                 acked=frozenset(), first_due=turn.now)
        turn.note('rolled_back', target=task.target,
                  why=task.declined or 'the target did not answer in time')
    turn.set(avoid={**role.avoid, task.target:
                    turn.now + turn.node.timing.switch},
             renew_due=turn.now)


def _send(turn: Turn, task: st.Handing, record: rec.Record) -> None:
    role, node = turn.role, turn.node
    turn.read(node.timing.beat)
    if turn.now < task.send_due or task.target not in node.members:
        return
    turn.set(handing=dataclasses.replace(
        task, sent=True, send_due=turn.now + node.timing.beat / 2))
    if task.broadcast:
        everybody = tuple(n for n in node.members if n != node.me.node)
        turn.do(act.Send(everybody, messages.Second(
            role.name, node.members[task.target].address, record)))
    else:
        turn.do(act.Send((task.target,), messages.Third(role.name, record)))


def _roll_back(turn: Turn, task: st.Handing, record: rec.Record) -> None:
    role, node = turn.role, turn.node
    if role.pending is not None:
        return
    new = rec.claim(record, node.me, turn.next_seq(), node.timing.hold,
                    role.floor)
    turn.note('taking_back', target=task.target,
              why=task.declined or 'the target did not answer in time')
    turn.write('take_back', new)
