# SPDX-License-Identifier: Apache-2.0
"""What the core decides, done: kernel, wire, peers, etcd, services, files.

``perform`` never blocks.  What may block has threads of its own and reports
what came of it as an observation.
"""

from collections.abc import Callable
import os
import shlex
import socket
import threading
import time
from typing import Any

from oslo_log import log as logging

from cinder_tagged.ha import parts
from cinder_tagged.ha import settings
from cinder_tagged.ha.adapters import datagrams
from cinder_tagged.ha.adapters import etcd
from cinder_tagged.ha.adapters import history
from cinder_tagged.ha.adapters import kernel
from cinder_tagged.ha.adapters import pointing
from cinder_tagged.ha.adapters import resources
from cinder_tagged.ha.adapters import wire
from cinder_tagged.ha.core import actions as act
from cinder_tagged.ha.core import observe
from cinder_tagged.ha.core import state as st
from cinder_tagged.ha.platform import resource as platform

LOG = logging.getLogger(__name__)

Feed = Callable[[observe.Observation], None]


class Effects:
    """Env of the engine; made with every gate shut and no address on.

    :param feed: takes observations, from any thread
    :param node: returns the newest state
    :raises settings.BadConfig: if a key or an address is bad
    :raises kernel.KernelError: if the kernel refuses the gates
    """

    def __init__(self, conf: Any, feed: Feed,
                 node: Callable[[], st.NodeState]) -> None:
        self._conf, self._feed, self._node = conf, feed, node
        self._timing = settings.timing(conf)
        self._members = settings.members(conf.ha.members)
        self.roles = {role: (conf[f'ha_role_{role}'].interface,
                             settings.addresses(conf, role))
                      for role in conf.ha.roles}
        self.counters = dict.fromkeys(
            ('sent', 'received', 'refused', 'turns', 'writes', 'reads'), 0)
        self.history = history.History(
            os.path.join(conf.ha.state_dir, 'history.jsonl'))
        self.resync = threading.Event()
        self._bind_kernel()
        self._bind_network()
        self._bind_services()
        self.etcd = etcd.Etcd(parts.access(conf), self._timing.request)

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

    def _bind_network(self) -> None:
        address = self._members[self._conf.ha.node].address
        self.codec = datagrams.Codec(
            self._conf.ha.node, settings.read_keys(self._conf))
        family = socket.AF_INET6 if ':' in address else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.bind((address, self._conf.ha.port))

    def _bind_services(self) -> None:
        self.groups = {}
        for role in self.roles:
            members: list[resources.Resource] = []
            for name in self._conf[f'ha_role_{role}'].resources:
                members.append(self._resource(name))
            self.groups[role] = resources.Group(role, members)
        self._services = {role: parts.Worker(f'services {role}')
                          for role in self.roles}
        self._pointing = parts.Worker('pointing')
        self._deaths = parts.Worker('deaths')

    def _resource(self, name: str) -> resources.Resource:
        section = self._conf[f'ha_resource_{name}']
        if section.type == 'platform':
            return platform.Platform(name, self._conf)
        return resources.TYPES[section.type](name, section)

    def close(self) -> None:
        """Shut every gate, take every address off, stop every service."""
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

    def prolong(self, role: str) -> None:
        """Renew the lifetime of a role's addresses on the NIC."""
        self._nic.put(lambda: self._put_on(role))

    def _put_on(self, role: str) -> None:
        with self._nic_lock:
            if self._node().roles[role].address_on:
                device, addresses = self.roles[role]
                for address in addresses:
                    self.addresses.add(device, address)

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
                    self._members[name].address, self._conf.ha.port))
                self.counters['sent'] += 1
            except OSError as exc:
                LOG.debug('cannot send to %s: %s', name, exc)

    def _read(self, action: act.Read) -> None:
        sent = time.monotonic()
        self.counters['reads'] += 1

        def done(answer: etcd.Answer) -> None:
            _, record, shut = answer or (False, None, 0)
            self._feed(observe.ReadDone(action.role, sent, record, shut))
        self.etcd.read(action.role, done)

    def _write(self, action: act.Write) -> None:
        self.counters['writes'] += 1

        def done(answer: etcd.Answer) -> None:
            won, record, shut = answer or (False, None, 0)
            self._feed(observe.WriteDone(
                action.role, action.record, won, record, shut))
        self.etcd.swap(action.role, action.expect, action.record, done)

    def _certify(self, action: act.Certify) -> None:
        self.etcd.certify(action.role, action.epoch)

    def _gate(self, action: act.Gate) -> None:
        try:
            self.gates.open(action.role, action.until)
            self.groups[action.role].prolong(action.until)
        except kernel.KernelError as exc:
            LOG.error('The gate of %s does not open: %s', action.role, exc)
            self._feed(observe.GateFailed(action.role, str(exc)))

    def _shut(self, action: act.Shut) -> None:
        try:
            self.gates.shut(action.role)
        except kernel.KernelError as exc:
            LOG.critical('The gate of %s does not shut at once (%s); it '
                         'shuts at its timeout', action.role, exc)
            time.sleep(self._timing.hold)

    def _addaddress(self, action: act.AddAddress) -> None:
        device, addresses = self.roles[action.role]
        try:
            with self._nic_lock:
                for address in addresses:
                    self.addresses.add(device, address)
        except kernel.KernelError as exc:
            LOG.error('%s', exc)
            self._feed(observe.GateFailed(action.role, str(exc)))

    def _dropaddress(self, action: act.DropAddress) -> None:
        self._nic.put(lambda: self._take_off(action.role))

    def _take_off(self, role: str) -> None:
        # The role may have come back since this was queued.
        with self._nic_lock:
            if self._node().roles[role].address_on:
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
        address = self._node().roles[action.role].address

        def start() -> None:
            for text in group.start(action.epoch, address):
                self.history.add('service_failed', action.role,
                                 {'why': text})
        self._services[action.role].put(start)

    def _stopservices(self, action: act.StopServices) -> None:
        group = self.groups[action.role]
        self._services[action.role].put(
            group.lapse if action.lapsed else group.stop)

    def _reconfigure(self, action: act.Reconfigure) -> None:
        first, conf = action.first, self._conf[f'ha_role_{action.first.role}']
        values = {'role': first.role, 'epoch': str(first.epoch),
                  'holder': first.holder, 'address': first.address,
                  'holder_ip': self._members[first.holder].address}

        def point() -> None:
            for text in pointing.apply(conf.dropins, conf.reload,
                                       conf.reload_deadline, values):
                self.history.add('reconfigure_failed', first.role,
                                 {'why': text, 'epoch': first.epoch})
            self._feed(observe.Applied(first.role, first.epoch))
        self._pointing.put(point)

    def _bury(self, action: act.Bury) -> None:
        conf = self._conf[f'ha_role_{action.role}']
        if not conf.on_peer_death:
            return
        command = [word.replace('{node}', action.node)
                   for word in shlex.split(conf.on_peer_death)]

        def run() -> None:
            begin = time.monotonic()
            try:
                resources.run(command, conf.on_peer_death_deadline, {})
            except resources.ResourceError as exc:
                self.history.add('peer_death_failed', action.role, {
                    'node': action.node, 'why': str(exc)})
                return
            self.history.add('peer_death_done', action.role, {
                'node': action.node,
                'seconds': round(time.monotonic() - begin, 3)})
        self._deaths.put(run)

    def _note(self, action: act.Note) -> None:
        if action.event == 'paused':
            # Unfit until the mirror has looked again: let it look now.
            self.resync.set()
        self.history.add(action.event, action.role, action.detail)
