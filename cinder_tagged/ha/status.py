# SPDX-License-Identifier: Apache-2.0
"""What an agent tells about itself."""

from __future__ import annotations

import json
from typing import Any
from typing import TYPE_CHECKING

from cinder_tagged.ha.core import membership
from cinder_tagged.ha.core import record as rec
from cinder_tagged.ha.core import state as st

if TYPE_CHECKING:
    from cinder_tagged.ha import agent as agents


def as_json(agent: agents.Agent) -> dict[str, Any]:
    """The status that the command shows; deciding thread only."""
    node, now = agent.engine.node, agent.effects.now()
    live = membership.live_peers(node, now)
    return {
        'node': node.me.node,
        'eligible': not membership.ineligible(node),
        'why': membership.ineligible(node),
        'etcd': 'ok' if node.etcd_ok_since is not None else 'lost',
        'standby': node.standby, 'data_revision': node.data,
        'council': node.me.node in node.council,
        'members': {name: 'self' if name == node.me.node else
                    'live' if name in live else
                    'silent' if name in membership.silent_names(node, now)
                    else 'not watched' for name in node.members},
        'roles': {name: _role(node, role, now)
                  for name, role in node.roles.items()},
        'counters': dict(agent.effects.counters),
        'worst_takeover': round(node.timing.worst_takeover, 3),
    }


def _role(node: st.NodeState, role: st.RoleState,
          now: float) -> dict[str, Any]:
    record = role.record or rec.Record()
    return {
        'state': ('controlling' if role.phase is not st.Phase.FOLLOWING
                  else 'controlled'),
        'phase': role.phase.value, 'holder': record.holder,
        'epoch': record.epoch, 'address': role.address,
        'open': role.gate_until > now,
        'renewed': round(now - role.seen_at, 3) if role.record else None,
        'configured_for': role.applied,
        'conflict': role.conflict_mac if role.conflict_until > now else '',
    }


def dumps(value: Any) -> str:
    """JSON for people and programs."""
    return json.dumps(value, indent=2, sort_keys=True)
