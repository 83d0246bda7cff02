# SPDX-License-Identifier: Apache-2.0
"""Machines for tests: network and mount namespaces without a name.

A namespace lives as long as its holder process, and the holder dies with
the test process, whatever way that ends: nothing is left behind.  Each has
a tmpfs of its own on /mnt.
"""

from collections.abc import Sequence
import contextlib
import ctypes
import os
from pathlib import Path
import signal
import subprocess
import time
from typing import Any

LIBC = ctypes.CDLL(None, use_errno=True)
PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """For preexec_fn: the kernel kills the child when its parent ends."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Space:
    """One machine: network namespace, mount namespace, processes."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.children: list[subprocess.Popen[bytes]] = []
        self._holder = subprocess.Popen(
            ['unshare', '--net', '--mount', 'sh', '-c',
             'mount -t tmpfs lab /mnt && ip link set lo up && '
             'touch /mnt/ready && exec sleep infinity'],
            preexec_fn=die_with_parent, start_new_session=True)
        self.files = Path(f'/proc/{self._holder.pid}/root/mnt')
        deadline = time.monotonic() + 30
        while not self._ready():
            if time.monotonic() > deadline or self._holder.poll() is not None:
                raise RuntimeError(f'no namespace for {name}')
            time.sleep(0.01)

    def _ready(self) -> bool:
        own = os.readlink('/proc/self/ns/mnt')
        try:
            other = os.readlink(f'/proc/{self._holder.pid}/ns/mnt')
        except OSError:
            return False
        return other != own and (self.files / 'ready').exists()

    @property
    def pid(self) -> int:
        return self._holder.pid

    def inside(self, command: Sequence[str]) -> list[str]:
        """The command line that runs ``command`` in this machine."""
        return ['nsenter', f'--net=/proc/{self.pid}/ns/net',
                f'--mount=/proc/{self.pid}/ns/mnt', '--', *command]

    def run(self, *command: str, check: bool = True,
            text: str | None = None) -> str:
        """Run a short command and return its output."""
        done = subprocess.run(
            self.inside(command), input=text, capture_output=True, text=True,
            timeout=60, check=False)
        if check and done.returncode:
            raise RuntimeError(f'{self.name}: {" ".join(command)}: '
                               f'{done.stderr.strip()[-500:]}')
        return done.stdout

    def spawn(self, *command: str, log: str = '',
              **kwargs: Any) -> subprocess.Popen[bytes]:
        """Start a long-running command; its output goes to /mnt/LOG."""
        with open(self.files / log if log else os.devnull, 'ab') as target:
            child = subprocess.Popen(
                self.inside(command), stdin=subprocess.DEVNULL,
                stdout=target, stderr=target, preexec_fn=die_with_parent,
                start_new_session=True, **kwargs)
        self.children.append(child)
        return child

    def processes(self) -> set[int]:
        """Every process in this network but the one that holds it."""
        name = os.readlink(f'/proc/{self.pid}/ns/net')
        found = set()
        for pid in filter(str.isdigit, os.listdir('/proc')):
            with contextlib.suppress(OSError):
                if os.readlink(f'/proc/{pid}/ns/net') == name:
                    found.add(int(pid))
        return found - {self.pid}

    def signal_all(self, number: signal.Signals) -> None:
        """Signal all of them at once; repeated until none is missed."""
        done: set[int] = set()
        while new := self.processes() - done:
            for pid in new:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            done |= new

    def forget_connections(self) -> None:
        """Lose what the kernel has still to send, as a power cut does.

        Or it would go on to send it once the cable is in again, also for
        processes that have long been killed.
        """
        self.run('ss', '--kill', '--tcp', '--numeric')

    def kill(self) -> None:
        """End every process that was started here."""
        for child in self.children:
            if child.poll() is None:
                child.send_signal(signal.SIGCONT)
                child.kill()
        for child in self.children:
            child.wait(30)
        self.children.clear()

    def close(self) -> None:
        """End the machine."""
        self.kill()
        self._holder.kill()
        self._holder.wait(30)


class Switch(Space):
    """A bridge that machines are plugged into, and whose cables are cut."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.ports: dict[str, str] = {}
        self.run('ip', 'link', 'add', 'br0', 'type', 'bridge')
        self.run('ip', 'link', 'set', 'br0', 'up')

    def plug(self, space: Space, *addresses: str) -> str:
        """Give ``space`` an eth0 with addresses; returns its MAC."""
        port = f'p{len(self.ports) + 1}'
        self.ports[space.name] = port
        self.run('ip', 'link', 'add', port, 'type', 'veth', 'peer', 'name',
                 'eth0', 'netns', str(space.pid))
        self.run('ip', 'link', 'set', port, 'master', 'br0', 'up')
        space.run('sysctl', '-qw', 'net.ipv6.conf.eth0.accept_dad=0',
                  check=False)
        space.run('ip', 'link', 'set', 'eth0', 'up')
        for address in addresses:
            more = ['nodad'] if ':' in address else []
            space.run('ip', 'addr', 'add', address, 'dev', 'eth0', *more)
        link = space.run('ip', '-o', 'link', 'show', 'eth0').split()
        return link[link.index('link/ether') + 1]

    def link(self, space: Space, up: bool) -> None:
        """Plug or pull the cable."""
        self.run('ip', 'link', 'set', self.ports[space.name],
                 'up' if up else 'down')

    def cut(self, one: Sequence[str], others: Sequence[str],
            match: str = '') -> None:
        """Silently drop what goes between two groups of machines.

        :param match: nft expression of what is dropped; '' for everything
        """
        left = ', '.join(f'"{self.ports[name]}"' for name in one)
        right = ', '.join(f'"{self.ports[name]}"' for name in others)
        rules = ''.join(
            f'    iifname {{ {a} }} oifname {{ {b} }} {expression} drop\n'
            for expression in (match.split('|') if match else [''])
            for a, b in ((left, right), (right, left)))
        self.run('nft', '-f', '-', text=(
            'add table bridge cut\nflush table bridge cut\n'
            'table bridge cut {\n  chain forward {\n'
            '    type filter hook forward priority 0; policy accept;\n'
            f'{rules}  }}\n}}\n'))

    def heal(self) -> None:
        """Undo the cut."""
        self.run('nft', 'delete', 'table', 'bridge', 'cut', check=False)


class Uplink:
    """The machine that the tests run on, plugged into a switch.

    It gets a NIC with an address. What comes in there for that address goes
    to the services at 127.0.0.1, for as long as this process lives.
    """

    def __init__(self, switch: Switch, address: str) -> None:
        self.name = f'ct{os.getpid()}'
        self.address = address
        port = f'p{len(switch.ports) + 1}'
        switch.ports[self.name] = port
        switch.run('ip', 'link', 'add', port, 'type', 'veth', 'peer', 'name',
                   self.name, 'netns', str(os.getpid()))
        switch.run('ip', 'link', 'set', port, 'master', 'br0', 'up')
        for command in (
                ['ip', 'link', 'set', self.name, 'up'],
                ['ip', 'addr', 'add', f'{address}/24', 'dev', self.name],
                ['sysctl', '-qw',
                 f'net.ipv4.conf.{self.name}.route_localnet=1']):
            subprocess.run(command, check=True, timeout=60)
        # The kernel removes the table when nft ends.
        self._owner = subprocess.Popen(
            ['nft', '-i'], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
            text=True, preexec_fn=die_with_parent, start_new_session=True)
        assert self._owner.stdin is not None
        self._owner.stdin.write(
            f'add table ip {self.name} {{ flags owner; }}\n'
            f'add chain ip {self.name} in {{ type nat hook prerouting '
            'priority -100; }\n'
            f'add rule ip {self.name} in iifname "{self.name}" ip daddr '
            f'{address} meta l4proto tcp dnat to 127.0.0.1\n')
        self._owner.stdin.flush()

    def reach_from(self, space: Space, own_ports: str) -> None:
        """Lead what ``space`` sends to 127.0.0.1 here, TCP only.

        :param own_ports: nft expression of ports that stay its own
        """
        space.run('sysctl', '-qw', 'net.ipv4.conf.all.route_localnet=1')
        space.run('nft', '-f', '-', text=(
            'table ip uplink {\n'
            '  chain out { type nat hook output priority -100;\n'
            f'    ip daddr 127.0.0.1 tcp dport != {own_ports} '
            f'dnat to {self.address}\n  }}\n'
            '  chain from { type nat hook postrouting priority 100;\n'
            '    oifname "eth0" ip saddr 127.0.0.1 masquerade\n  }\n}\n'))

    def close(self) -> None:
        """Take the rules away; the NIC goes with the switch."""
        self._owner.kill()
        self._owner.wait(10)
