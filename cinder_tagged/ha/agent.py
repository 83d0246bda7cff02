# SPDX-License-Identifier: Apache-2.0
"""The agent of one node: the engine bound to the real world.

One thread decides and opens gates.  Everything that may block (etcd, probes,
services, files, the bus) has threads of its own and reports through one
queue.  If this process stops for any reason, the kernel shuts the gates.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import queue
import secrets
import signal
import socket
import sys
import threading
import time
from typing import Any

from oslo_log import log as logging

from cinder_tagged.ha import engine
from cinder_tagged.ha import options
from cinder_tagged.ha import parts
from cinder_tagged.ha.adapters import datagrams
from cinder_tagged.ha.adapters import etcd
from cinder_tagged.ha.adapters import history
from cinder_tagged.ha.adapters import kernel
from cinder_tagged.ha.adapters import pointing
from cinder_tagged.ha.adapters import probes
from cinder_tagged.ha.adapters import resources
from cinder_tagged.ha.adapters import wire
from cinder_tagged.ha.core import actions as act
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
    """Env of the engine, and its input."""

    def __init__(self, conf: Any) -> None:
        self.conf = conf
        self.name: str = conf.ha.node
        self.timing = options.timing(conf)
        self.members = options.members(conf.ha.members)
        self.roles = {role: (conf[f'ha_role_{role}'].interface,
                             options.addresses(conf, role))
                      for role in conf.ha.roles}
        self.inbox: queue.SimpleQueue[parts.Task] = queue.SimpleQueue()
        self.counters = dict.fromkeys(
            ('sent', 'received', 'refused', 'turns', 'writes', 'reads'), 0)
        self.started = time.monotonic()
        self.ended = False
        self.resync = threading.Event()
        self._lock = self._single()
        self._macs: dict[str, frozenset[str]] = {}
        self._chores_due = 0.0
        self.history = history.History(
            os.path.join(conf.ha.state_dir, 'history.jsonl'))
        self._bind_kernel()
        self._bind_network()
        self._bind_services()
        self.etcd = etcd.Etcd(parts.access(conf), self.timing.request)
        self.engine = engine.Engine(self._initial(), self)

    def _single(self) -> Any:
        os.makedirs(self.conf.ha.state_dir, mode=0o750, exist_ok=True)
        path = os.path.join(self.conf.ha.state_dir, 'lock')
        lock = open(path, 'w')  # noqa: SIM115 - held as long as we live
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            raise options.BadConfig(
                f'another agent runs here: it holds {path}') from exc
        return lock

    def _bind_kernel(self) -> None:
        self.gates = kernel.Gates(self.roles)
        self.addresses = kernel.Addresses()
        self._nic = parts.Worker('nic')
        self._nic_lock = threading.Lock()
        self.wires: dict[str, wire.Wire] = {}
        for device, addresses in self.roles.values():
            for address in addresses:
                self.addresses.drop(device, address)
            if device not in self.wires:
                self.wires[device] = wire.Wire(device)
        for device in self.wires:
            wire.Listener(device, {
                str(a.ip) for d, aa in self.roles.values() for a in aa
                if d == device}, self._foreign).start()

    def _bind_network(self) -> None:
        me = self.members[self.name]
        self.codec = datagrams.Codec(
            self.name, options.read_keys(self.conf))
        family = socket.AF_INET6 if ':' in me.address else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.bind((me.address, self.conf.ha.port))
        threading.Thread(target=self._receive, daemon=True,
                         name='receive').start()

    def _bind_services(self) -> None:
        self.groups = {}
        for role in self.roles:
            members: list[resources.Resource] = []
            for name in self.conf[f'ha_role_{role}'].resources:
                section = self.conf[f'ha_resource_{name}']
                members.append(resources.TYPES[section.type](name, section))
            self.groups[role] = resources.Group(role, members)
        self._services = {role: parts.Worker(f'services {role}')
                          for role in self.roles}
        self._pointing = parts.Worker('pointing')
        self.watches = parts.probe_watches(
            self.conf, lambda: self.post(self._health))

    def _initial(self) -> st.NodeState:
        now = self.now()
        return st.NodeState(
            me=rec.Identity(self.name, secrets.token_hex(8), parts.boot_id()),
            members=self.members, timing=self.timing,
            council=membership.choose_council(
                self.members.values(), self.conf.ha.council),
            roles={role: st.RoleState(
                role, ','.join(map(str, addresses)),
                self.conf[f'ha_role_{role}'].strategy)
                for role, (_, addresses) in self.roles.items()},
            mac=','.join(wire.text(w.mac) for w in self.wires.values()),
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
                    0.0005, min(due - self.now(), CHORES)))
                while True:
                    task()
                    task = self.inbox.get_nowait()
            if self.now() >= self._chores_due:
                self._chores()
            due = self.engine.turn()
            self.counters['turns'] += 1
            if self.engine.node.stopping and not self._bound():
                self.ended = True
        self._close()

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

    def _close(self) -> None:
        for role, (device, addresses) in self.roles.items():
            self.gates.shut(role)
            for address in addresses:
                self.addresses.drop(device, address)
            self._services[role].put(self.groups[role].stop)
        for worker in self._services.values():
            worker.finish(30)
        self._nic.finish(2)
        self.gates.remove()
        self.etcd.close()

    def _chores(self) -> None:
        self._chores_due = self.now() + CHORES
        for name, role in self.engine.node.roles.items():
            if role.address_on:
                self._nic.put(functools.partial(self._prolong, name))
        self._health()
        self._macs = {name: frozenset(peer.beat.mac.split(','))
                      for name, peer in self.engine.node.peers.items()}

    def _prolong(self, name: str) -> None:
        with self._nic_lock:
            if self.engine.node.roles[name].address_on:
                device, addresses = self.roles[name]
                for address in addresses:
                    self.addresses.add(device, address)

    def _health(self) -> None:
        found = set(probes.faults(self.watches))
        for device in self.wires:
            if not self.addresses.carrier(device):
                found.add(f'{device} has no link')
        seen = observe.Health(frozenset(found), round(os.getloadavg()[0], 2))
        node = self.engine.node
        if (seen.faults, seen.load) != (node.faults, node.load):
            self.engine.feed(seen)

    # Env

    def now(self) -> float:
        return time.monotonic()

    def perform(self, action: act.Action, node: st.NodeState) -> None:
        getattr(self, '_' + type(action).__name__.lower())(action)

    def _send(self, action: act.Send) -> None:
        for name, packet in self.codec.seal(
                action.message, action.to).items():
            try:
                self.socket.sendto(packet, socket.MSG_DONTWAIT, (
                    self.members[name].address, self.conf.ha.port))
                self.counters['sent'] += 1
            except OSError as exc:
                LOG.debug('cannot send to %s: %s', name, exc)

    def _read(self, action: act.Read) -> None:
        sent = self.now()
        self.counters['reads'] += 1

        def done(answer: etcd.Answer) -> None:
            _, record, shut = answer or (False, None, 0)
            self.feed(observe.ReadDone(action.role, sent, record, shut))
        self.etcd.read(action.role, done)

    def _write(self, action: act.Write) -> None:
        self.counters['writes'] += 1

        def done(answer: etcd.Answer) -> None:
            won, record, shut = answer or (False, None, 0)
            self.feed(observe.WriteDone(
                action.role, action.record, won, record, shut))
        self.etcd.swap(action.role, action.expect, action.record, done)

    def _certify(self, action: act.Certify) -> None:
        self.etcd.certify(action.role, action.epoch)

    def _gate(self, action: act.Gate) -> None:
        try:
            self.gates.open(action.role, action.until)
        except kernel.KernelError as exc:
            LOG.error('The gate of %s does not open: %s', action.role, exc)
            self.feed(observe.GateFailed(action.role, str(exc)))

    def _shut(self, action: act.Shut) -> None:
        try:
            self.gates.shut(action.role)
        except kernel.KernelError as exc:
            LOG.critical('The gate of %s does not shut at once (%s); it '
                         'shuts at its timeout', action.role, exc)
            time.sleep(self.timing.hold)

    def _addaddress(self, action: act.AddAddress) -> None:
        device, addresses = self.roles[action.role]
        try:
            with self._nic_lock:
                for address in addresses:
                    self.addresses.add(device, address)
        except kernel.KernelError as exc:
            LOG.error('%s', exc)
            self.feed(observe.GateFailed(action.role, str(exc)))

    def _dropaddress(self, action: act.DropAddress) -> None:
        self._nic.put(lambda: self._take_off(action.role))

    def _take_off(self, role: str) -> None:
        # The role may have come back since this was queued.
        with self._nic_lock:
            if self.engine.node.roles[role].address_on:
                return
            device, addresses = self.roles[role]
            for address in addresses:
                self.addresses.drop(device, address)

    def _announce(self, action: act.Announce) -> None:
        device, addresses = self.roles[action.role]
        for address in addresses:
            self.wires[device].announce(address)

    def _probe(self, action: act.Probe) -> None:
        device, addresses = self.roles[action.role]
        for address in addresses:
            self.wires[device].probe(address)

    def _startservices(self, action: act.StartServices) -> None:
        group = self.groups[action.role]
        address = self.engine.node.roles[action.role].address

        def start() -> None:
            for text in group.start(action.epoch, address):
                self.history.add('service_failed', action.role,
                                 {'why': text})
        self._services[action.role].put(start)

    def _stopservices(self, action: act.StopServices) -> None:
        self._services[action.role].put(self.groups[action.role].stop)

    def _reconfigure(self, action: act.Reconfigure) -> None:
        first, conf = action.first, self.conf[f'ha_role_{action.first.role}']
        values = {'role': first.role, 'epoch': str(first.epoch),
                  'holder': first.holder, 'address': first.address,
                  'holder_ip': self.members[first.holder].address}

        def point() -> None:
            for text in pointing.apply(conf.dropins, conf.reload,
                                       conf.reload_deadline, values):
                self.history.add('reconfigure_failed', first.role,
                                 {'why': text, 'epoch': first.epoch})
            self.feed(observe.Applied(first.role, first.epoch))
        self._pointing.put(point)

    def _note(self, action: act.Note) -> None:
        if action.event == 'paused':
            # Unfit until the mirror has looked again: let it look now.
            self.resync.set()
        self.history.add(action.event, action.role, action.detail)

    # Input from other threads

    def _receive(self) -> None:
        while not self.ended:
            try:
                data = self.socket.recv(65535)
                sender, message = self.codec.open(data)
            except datagrams.Refused:
                self.counters['refused'] += 1
                continue
            except OSError:
                time.sleep(0.05)
                continue
            self.counters['received'] += 1
            self.feed(observe.Heard(sender, message))

    def _foreign(self, address: str, mac: str) -> None:
        if time.monotonic() - self.started < LEARNING:
            return
        if any(mac in macs for macs in self._macs.values()):
            return
        for role, (_, addresses) in self.roles.items():
            if any(str(a.ip) == address for a in addresses):
                self.history.add('conflict', role, {
                    'address': address, 'mac': mac})
                self.feed(observe.Conflict(role, mac))


def handle_signals(agent: Agent) -> None:
    """SIGTERM and SIGINT pass the roles on, then end the agent."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: agent.stop())
