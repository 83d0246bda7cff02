# SPDX-License-Identifier: Apache-2.0
"""The systems under comparison, behind one face: ours and keepalived."""

import contextlib
import os
from pathlib import Path
import signal
from typing import Any

from cinder_tagged.ha import control
from tests.functional.ha import lab as labs
from tests.functional.ha import spaces

KEEPALIVED = '''
global_defs {{
  vrrp_version 3
  vrrp_garp_master_delay 1
  {refresh}
}}
vrrp_instance control {{
  state BACKUP
  nopreempt
  interface eth0
  virtual_router_id 51
  priority {priority}
  advert_int {advert}
  virtual_ipaddress {{
    10.77.0.100/24
  }}
}}
'''


class Ours:
    """Five agents with a profile's timings."""

    slow = False

    def __init__(self, profile: str) -> None:
        self.lab = labs.Lab(profile)
        self.cuts = {'': '', 'peers': labs.PEERS_ONLY,
                     'etcd': labs.ETCD_ONLY}

    def __enter__(self) -> 'Ours':
        self.lab.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self.lab.close()

    @property
    def switch(self) -> spaces.Switch:
        return self.lab.switch

    @property
    def clients(self) -> list[spaces.Space]:
        return self.lab.clients

    @property
    def nodes(self) -> list[Any]:
        return list(self.lab.nodes)

    def settled(self) -> Any:
        """The holder, once all is quiet."""
        return self.lab.settled()

    def outside_etcd(self) -> Any:
        """The holder, moved to a node without a member of etcd."""
        holder = self.lab.settled()
        if holder.etcd is not None:
            with contextlib.suppress(control.Failed):
                holder.ask(verb='switch', role='control', target='n4',
                           wait=20)
        return self.lab.settled()

    def die(self, node: Any) -> None:
        node.die()

    def boot(self, node: Any) -> None:
        node.boot()

    def signal(self, node: Any, number: signal.Signals) -> None:
        node.signal(number)

    def restart(self, node: Any) -> None:
        node.agent.wait(30)
        node.start_agent()

    def move(self, node: Any) -> None:
        """Ask for a switch to another node."""
        target = next(n for n in self.lab.nodes if n is not node)
        with contextlib.suppress(control.Failed):
            node.ask(verb='switch', role='control', target=target.name,
                     wait=2)


class _Machine:
    """One node with keepalived."""

    def __init__(self, peer: 'Keepalived', number: int) -> None:
        self.name, self.number = f'n{number}', number
        self.ip = f'10.77.0.{10 + number}'
        self.space = spaces.Space(self.name)
        self.mac = peer.switch.plug(self.space, f'{self.ip}/24')
        self.space.run('mount', '-t', 'tmpfs', 'run', '/run')
        (self.space.files / 'keepalived.conf').write_text(KEEPALIVED.format(
            priority=200 - 10 * number, advert=peer.advert,
            refresh=peer.refresh))
        self.process: Any = None

    def start(self) -> None:
        self.process = self.space.spawn(
            'keepalived', '--dont-fork', '--vrrp', '--log-console',
            '--use-file', '/mnt/keepalived.conf', log='keepalived.log')

    def pids(self) -> list[int]:
        """The daemon and its children."""
        found = [self.process.pid]
        with contextlib.suppress(OSError):
            found += map(int, Path(
                f'/proc/{self.process.pid}/task/{self.process.pid}/children'
            ).read_text().split())
        return found

    def signal(self, number: signal.Signals) -> None:
        for pid in reversed(self.pids()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def has_address(self) -> bool:
        return ' 10.77.0.100/' in self.space.run('ip', '-o', 'addr')


class Keepalived:
    """Five keepalived daemons, with ``advert`` s between advertisements."""

    def __init__(self, advert: float, refresh: str = '') -> None:
        self.advert, self.refresh = advert, refresh
        self.slow = advert >= 1
        self.cuts = {'': '', 'peers': 'ip protocol 112'}
        self.switch = spaces.Switch('switch')
        self.nodes: list[Any] = []
        self.clients: list[spaces.Space] = []

    def __enter__(self) -> 'Keepalived':
        self.nodes = [_Machine(self, i) for i in range(1, 6)]
        for number in (1, 2):
            client = spaces.Space(f'c{number}')
            self.switch.plug(client, f'10.77.0.{200 + number}/24')
            self.clients.append(client)
        for node in self.nodes:
            node.start()
        self.settled()
        return self

    def __exit__(self, *exc: object) -> None:
        for space in [n.space for n in self.nodes] + self.clients:
            space.close()
        self.switch.close()

    def _one(self) -> Any:
        holding = [n for n in self.nodes if n.has_address()]
        return holding[0] if len(holding) == 1 else None

    def settled(self) -> Any:
        first = labs.wait_for(self._one, 'one holder')
        for _ in range(15):
            labs.wait_for(self._one, 'one holder')
            if self._one() is not first:
                first = labs.wait_for(self._one, 'one holder')
        return first

    outside_etcd = settled

    def die(self, node: Any) -> None:
        self.switch.link(node.space, False)
        node.signal(signal.SIGKILL)
        node.space.run('ip', 'addr', 'flush', 'dev', 'eth0')

    def boot(self, node: Any) -> None:
        node.process.wait(30)
        node.space.run('ip', 'addr', 'add', f'{node.ip}/24', 'dev', 'eth0')
        self.switch.link(node.space, True)
        node.start()

    def signal(self, node: Any, number: signal.Signals) -> None:
        if number is signal.SIGTERM:
            node.process.send_signal(number)
        else:
            node.signal(number)

    def restart(self, node: Any) -> None:
        node.process.wait(30)
        node.space.run('ip', 'addr', 'del', '10.77.0.100/24', 'dev', 'eth0',
                       check=False)
        node.start()

    def move(self, node: Any) -> None:
        """keepalived has no switch; a stop is the nearest thing."""
        self.signal(node, signal.SIGTERM)
