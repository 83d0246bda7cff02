# SPDX-License-Identifier: Apache-2.0
"""Five nodes with agents, three of them with etcd, and two clients."""

from collections.abc import Callable
import json
import os
from pathlib import Path
import secrets
import signal
import subprocess
import sys
import time
from typing import Any

from tests.functional.ha import spaces

ROOT = Path(__file__).resolve().parents[3]
ADDRESS = '10.77.0.100'
ADDRESS6 = 'fd77::100'
#: etcd's heartbeat and election timeouts (ms) that go with each profile.
ETCD = {'fast': (10, 100), 'default': (20, 200), 'calm': (100, 1000)}
#: As in the service's unit file.
PRIORITY = ('nice', '-n', '-10')
DEADLINE = 90.0
#: What only one of the planes carries, for cuts.
PEERS_ONLY = 'udp dport 7790'
ETCD_ONLY = 'tcp dport { 2379, 2380 }|tcp sport { 2379, 2380 }'


def wait_for(check: Callable[[], Any], what: str,
             deadline: float = DEADLINE) -> Any:
    """Return the first true result of ``check``."""
    end = time.monotonic() + deadline
    while True:
        result = check()
        if result:
            return result
        if time.monotonic() > end:
            raise TimeoutError(f'after {deadline:g} s: {what}')
        time.sleep(0.02)


def environment() -> dict[str, str]:
    """Of children: this source tree, no bytecode switch, no proxies."""
    environ = {name: value for name, value in os.environ.items()
               if not name.lower().endswith('_proxy')}
    environ.pop('PYTHONDONTWRITEBYTECODE', None)
    environ['PYTHONPATH'] = f'{ROOT}:' + environ.get('PYTHONPATH', '')
    environ['PYTHONWARNINGS'] = 'ignore'
    return environ


class Node:
    """One machine of the cloud."""

    def __init__(self, lab: 'Lab', number: int) -> None:
        self.lab, self.number = lab, number
        self.name = f'n{number}'
        self.ip = f'10.77.0.{10 + number}'
        self.space = spaces.Space(self.name)
        self.mac = lab.switch.plug(
            self.space, f'{self.ip}/24', f'fd77::{10 + number}/64')
        self.agent: subprocess.Popen[bytes] | None = None
        self.etcd: subprocess.Popen[bytes] | None = None

    @property
    def conf(self) -> Path:
        return self.space.files / 'ha.conf'

    def start_etcd(self) -> None:
        beat, election = ETCD[self.lab.profile]
        members = ','.join(
            f'{n.name}=http://{n.ip}:2380' for n in self.lab.nodes[:3])
        self.etcd = self.space.spawn(
            *PRIORITY, 'etcd', '--name', self.name, '--data-dir', '/mnt/etcd',
            '--listen-client-urls', f'http://{self.ip}:2379',
            '--advertise-client-urls', f'http://{self.ip}:2379',
            '--listen-peer-urls', f'http://{self.ip}:2380',
            '--initial-advertise-peer-urls', f'http://{self.ip}:2380',
            '--initial-cluster', members, '--initial-cluster-state',
            'existing' if (self.space.files / 'etcd').exists() else 'new',
            # A member that comes back must not force an election.
            '--pre-vote', '--heartbeat-interval', str(beat),
            '--election-timeout', str(election), '--log-level', 'error',
            log='etcd.log', env=environment())

    def configure(self) -> None:
        """Write the agent's configuration."""
        lab = self.lab
        (self.space.files / 'key').write_text(lab.key + '\n')
        members = ','.join(f'{n.name}={n.ip};r{n.number % 2};{20 - n.number}'
                           for n in lab.nodes)
        endpoints = ','.join(f'http://{n.ip}:2379' for n in lab.nodes[:3])
        text = (
            '[DEFAULT]\nlog_file = /mnt/agent.log\n'
            f'[ha]\nnode = {self.name}\nmembers = {members}\n'
            f'peer_key_file = /mnt/key\nprofile = {lab.profile}\n'
            'state_dir = /mnt/state\ncontrol_socket = /mnt/agent.sock\n'
            f'metrics = {self.ip}:9790\nroles = {",".join(lab.roles)}\n'
            f'[ha_etcd]\nendpoints = {endpoints}\n')
        for index, role in enumerate(lab.roles):
            text += (f'[ha_role_{role}]\ninterface = eth0\naddresses = '
                     f'10.77.0.{100 + index}/24,fd77::{100 + index}/64\n')
            text += lab.role_options
        self.conf.write_text(text + lab.extra)

    def start_agent(self) -> None:
        self.agent = self.space.spawn(
            *PRIORITY, sys.executable, '-m', 'cinder_tagged.ha.cli',
            '--config-file', '/mnt/ha.conf', 'agent', log='agent.out',
            env=environment(), cwd='/')

    def command(self, *arguments: str,
                text: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run cinder-tagged-ha on this node."""
        return subprocess.run(
            self.space.inside([
                sys.executable, '-m', 'cinder_tagged.ha.cli',
                '--config-file', '/mnt/ha.conf', *arguments]),
            input=text, capture_output=True, text=True, timeout=60,
            env=environment(), check=False)

    def status(self) -> dict[str, Any]:
        """Ask the agent through its socket, without a new process."""
        from cinder_tagged.ha import control
        path = self.space.files / 'agent.sock'
        result: dict[str, Any] = control.ask(
            str(path), {'verb': 'status'}, 10)
        return result

    def ask(self, **request: Any) -> Any:
        from cinder_tagged.ha import control
        return control.ask(
            str(self.space.files / 'agent.sock'), request, 30)

    def history(self) -> list[dict[str, Any]]:
        from cinder_tagged.ha.adapters import history
        return history.read(str(self.space.files / 'state/history.jsonl'))

    def has_address(self, address: str = ADDRESS) -> bool:
        """True if the kernel has the address on the NIC."""
        return f' {address}/' in self.space.run('ip', '-o', 'addr')

    def gate_open(self, role: str = 'control') -> bool:
        """True if the kernel passes the address."""
        return 'expires' in self.space.run(
            'nft', 'list', 'set', 'netdev', 'cinder_tagged_ha',
            f'open4_{role}', check=False)

    def die(self) -> None:
        """As if the power failed: no packets, no processes, no kernel."""
        self.lab.switch.link(self.space, False)
        for child in (self.agent, self.etcd):
            if child is not None and child.poll() is None:
                child.kill()
        self.space.forget_connections()
        self.space.run('ip', 'addr', 'flush', 'dev', 'eth0', 'scope',
                       'global')
        self.space.run('nft', 'flush', 'ruleset')

    def boot(self) -> None:
        """Power on again."""
        for child in (self.agent, self.etcd):
            if child is not None:
                child.wait(30)
        self.space.run('ip', 'addr', 'add', f'{self.ip}/24', 'dev', 'eth0')
        self.space.run('ip', 'addr', 'add', f'fd77::{10 + self.number}/64',
                       'dev', 'eth0', 'nodad')
        self.lab.switch.link(self.space, True)
        if self.etcd is not None:
            self.start_etcd()
        self.start_agent()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the agent."""
        assert self.agent is not None
        self.agent.send_signal(number)


class Lab:
    """The whole cloud; a context manager that leaves nothing behind."""

    def __init__(self, profile: str = 'fast', count: int = 5,
                 roles: tuple[str, ...] = ('control',),
                 role_options: str = '', extra: str = '',
                 prepare: Callable[[Node], None] = lambda node: None
                 ) -> None:
        self.profile, self.roles = profile, roles
        self.role_options, self.extra = role_options, extra
        self.key = secrets.token_hex(32)
        self.switch = spaces.Switch('switch')
        self.nodes: list[Node] = []
        self.clients: list[spaces.Space] = []
        self._count, self._prepare = count, prepare

    def __enter__(self) -> 'Lab':
        try:
            for number in range(1, self._count + 1):
                self.nodes.append(Node(self, number))
            for number in (1, 2):
                client = spaces.Space(f'c{number}')
                self.switch.plug(client, f'10.77.0.{200 + number}/24',
                                 f'fd77::{200 + number}/64')
                self.clients.append(client)
            for node in self.nodes[:3]:
                node.start_etcd()
            for node in self.nodes:
                node.configure()
                self._prepare(node)
            wait_for(self._etcd_works, 'etcd answers')
            for node in self.nodes:
                node.start_agent()
            self.settled()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        for node in self.nodes:
            node.space.close()
        for client in self.clients:
            client.close()
        self.switch.close()

    def _etcd_works(self) -> bool:
        node = self.nodes[0]
        return 'is healthy' in node.space.run(
            'sh', '-c', 'ETCDCTL_API=3 etcdctl --endpoints '
            f'http://{node.ip}:2379 endpoint health 2>&1', check=False)

    def holder(self, role: str = 'control') -> Node | None:
        """The node whose kernel passes the address, if there is one."""
        holding = [n for n in self.nodes if n.gate_open(role)]
        return holding[0] if len(holding) == 1 else None

    def agrees(self, role: str = 'control') -> Node | None:
        """The holder, if every running agent names it and is fit."""
        names = set()
        for node in self.nodes:
            if node.agent is None or node.agent.poll() is not None:
                continue
            try:
                status = node.status()
            except Exception:
                return None
            state = status['roles'][role]
            names.add(state['holder'])
            if not status['eligible'] or (
                    state['configured_for'] != state['epoch']):
                return None
        if len(names) != 1:
            return None
        name = names.pop()
        holder = self.holder(role)
        return holder if holder is not None and holder.name == name else None

    def settled(self, role: str = 'control') -> Node:
        """Wait until all agree, and return the holder."""
        try:
            node: Node = wait_for(lambda: self.agrees(role),
                                  'all nodes agree on one holder')
        except TimeoutError as exc:
            raise TimeoutError(f'{exc}; {self._views(role)}') from exc
        return node

    def _views(self, role: str) -> str:
        """What each node says, for a message."""
        views = []
        for node in self.nodes:
            try:
                status = node.status()
                views.append(f'{node.name}: eligible {status["eligible"]} '
                             f'({status["why"]}), '
                             f'{status["roles"][role]}')
            except Exception as exc:
                views.append(f'{node.name}: {exc!r}')
        return '; '.join(views)

    def etcd_leader(self) -> Node:
        """The node with etcd's leader."""
        for node in self.nodes[:3]:
            out = node.space.run(
                'sh', '-c', 'ETCDCTL_API=3 etcdctl --endpoints '
                f'http://{node.ip}:2379 endpoint status -w json', check=False)
            if out:
                status = json.loads(out)[0]['Status']
                if status['leader'] == status['header']['member_id']:
                    return node
        raise RuntimeError('etcd has no leader')
