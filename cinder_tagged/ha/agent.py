# SPDX-License-Identifier: Apache-2.0
"""The agent of one node: the engine bound to the real world.

One thread decides and opens gates.  Everything that may block (etcd, probes,
services, files, the bus) has threads of its own and reports through one
queue.  If this process stops for any reason, the kernel shuts the gates.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import queue
import secrets
import signal
import sys
import threading
import time
from typing import Any

from oslo_log import log as logging

from cinder_tagged.ha import effects
from cinder_tagged.ha import engine
from cinder_tagged.ha import parts
from cinder_tagged.ha import settings
from cinder_tagged.ha.adapters import datagrams
from cinder_tagged.ha.adapters import probes
from cinder_tagged.ha.adapters import wire
from cinder_tagged.ha.core import membership
from cinder_tagged.ha.core import observe
from cinder_tagged.ha.core import record as rec
from cinder_tagged.ha.core import state as st

LOG = logging.getLogger(__name__)

#: Seconds between two looks at links, lifetimes and probe results.
CHORES = 0.5
#: Seconds after the start in which foreign claims are not judged: the
#: members' hardware addresses are not known yet.
LEARNING = 3.0


class Agent:
    """The deciding thread, and what it is told by others.

    :raises settings.BadConfig: if another agent runs here
    """

    def __init__(self, conf: Any) -> None:
        self.conf = conf
        self.name: str = conf.ha.node
        self.timing = settings.timing(conf)
        self.members = settings.members(conf.ha.members)
        self.inbox: queue.SimpleQueue[parts.Task] = queue.SimpleQueue()
        self.started = time.monotonic()
        self.ended = False
        self._lock = self._single()
        self._macs: dict[str, frozenset[str]] = {}
        self._chores_due = 0.0
        self.effects = effects.Effects(
            conf, self.feed, lambda: self.engine.node)
        self.history = self.effects.history
        self.watches = parts.probe_watches(
            conf, lambda: self.post(self._health))
        self.engine = engine.Engine(self._initial(), self.effects)
        self._listen()

    def _single(self) -> Any:
        os.makedirs(self.conf.ha.state_dir, mode=0o750, exist_ok=True)
        path = os.path.join(self.conf.ha.state_dir, 'lock')
        lock = open(path, 'w')  # noqa: SIM115 - held as long as we live
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            raise settings.BadConfig(
                f'another agent runs here: it holds {path}') from exc
        return lock

    def _listen(self) -> None:
        """Hear the peers, and whoever claims an address on the wire."""
        roles = self.effects.roles.values()
        for device in self.effects.wires:
            wire.Listener(device, {
                str(a.ip) for d, addresses in roles for a in addresses
                if d == device}, self._foreign).start()
        threading.Thread(target=self._receive, daemon=True,
                         name='receive').start()

    def _initial(self) -> st.NodeState:
        now = time.monotonic()
        return st.NodeState(
            me=rec.Identity(self.name, secrets.token_hex(8), parts.boot_id()),
            members=self.members, timing=self.timing,
            council=membership.choose_council(
                self.members.values(), self.conf.ha.council),
            roles={role: st.RoleState(
                role, ','.join(map(str, addresses)),
                self.conf[f'ha_role_{role}'].strategy)
                for role, (_, addresses) in self.effects.roles.items()},
            mac=','.join(wire.text(w.mac)
                         for w in self.effects.wires.values()),
            faults=frozenset({'starting'}), grace_from=now,
            data_ready=not self.conf.ha_data.files)

    # The loop

    def post(self, task: parts.Task) -> None:
        """Have the deciding thread run ``task`` and decide anew."""
        self.inbox.put(task)

    def feed(self, seen: observe.Observation) -> None:
        """Tell the engine; from any thread."""
        self.post(lambda: self.engine.feed(seen))

    def run(self) -> None:
        """Decide until stopped."""
        # The deciding thread must not queue for 5 ms behind every other.
        sys.setswitchinterval(0.0005)
        for watch in self.watches.values():
            watch.start()
        due = 0.0
        while not self.ended:
            with contextlib.suppress(queue.Empty):
                task = self.inbox.get(timeout=max(
                    0.0005, min(due - time.monotonic(), CHORES)))
                while True:
                    task()
                    task = self.inbox.get_nowait()
            if time.monotonic() >= self._chores_due:
                self._chores()
            due = self.engine.turn()
            self.effects.counters['turns'] += 1
            if self.engine.node.stopping and not self._bound():
                self.ended = True
        self.effects.close()

    def _bound(self) -> bool:
        return any(role.phase is not st.Phase.FOLLOWING
                   or role.pending is not None
                   for role in self.engine.node.roles.values())

    def stop(self) -> None:
        """Pass on what is held, then end; from any thread."""
        self.feed(observe.Operator('stop'))

        def give_up() -> None:
            self.ended = True
        timer = threading.Timer(4 * self.timing.hold + 2,
                                lambda: self.post(give_up))
        timer.daemon = True
        timer.start()

    def _chores(self) -> None:
        self._chores_due = time.monotonic() + CHORES
        for name, role in self.engine.node.roles.items():
            if role.address_on:
                self.effects.prolong(name)
        self._health()
        self._macs = {name: frozenset(peer.beat.mac.split(','))
                      for name, peer in self.engine.node.peers.items()}

    def _health(self) -> None:
        found = set(probes.faults(self.watches))
        for device in self.effects.wires:
            if not self.effects.addresses.carrier(device):
                found.add(f'{device} has no link')
        seen = observe.Health(frozenset(found), round(os.getloadavg()[0], 2))
        node = self.engine.node
        if (seen.faults, seen.load) != (node.faults, node.load):
            self.engine.feed(seen)

    # Input from other threads

    def _receive(self) -> None:
        while not self.ended:
            try:
                data = self.effects.socket.recv(65535)
                sender, message = self.effects.codec.open(data)
            except datagrams.Refused:
                self.effects.counters['refused'] += 1
                continue
            except OSError:
                time.sleep(0.05)
                continue
            self.effects.counters['received'] += 1
            self.feed(observe.Heard(sender, message))

    def _foreign(self, address: str, mac: str) -> None:
        if time.monotonic() - self.started < LEARNING:
            return
        if any(mac in macs for macs in self._macs.values()):
            return
        for role, (_, addresses) in self.effects.roles.items():
            if any(str(a.ip) == address for a in addresses):
                self.history.add('conflict', role, {
                    'address': address, 'mac': mac})
                self.feed(observe.Conflict(role, mac))


def handle_signals(agent: Agent) -> None:
    """SIGTERM and SIGINT pass the roles on, then end the agent."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: agent.stop())
