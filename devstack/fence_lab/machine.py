# SPDX-License-Identifier: Apache-2.0
"""One QEMU machine: start, stop, commands, events, cables."""

import base64
from collections.abc import Sequence
import contextlib
from dataclasses import dataclass
import itertools
import json
from pathlib import Path
import queue
import signal
import socket
import threading
import time
from typing import Any

from devstack.fence_lab.san import Namespace
from devstack.sandbox.guard import Guard
from devstack.sandbox.process import SandboxError
from devstack.sandbox.process import Service
from devstack.sandbox.process import wait_until

MEMORY_MB = 448
NETWORKS = (2, 3, 4)


@dataclass(frozen=True)
class Done:
    """``code`` is None when the deadline passed in the machine."""

    code: int | None
    out: str
    err: str
    uptime: float


class Lines:
    """JSON lines over a unix socket, read by a thread of its own."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(path))
        self._sending = threading.Lock()
        self.received: queue.Queue[dict[str, Any]] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def send(self, message: dict[str, Any]) -> None:
        with self._sending:
            self._socket.sendall(json.dumps(message).encode() + b'\n')

    def _read(self) -> None:
        with contextlib.suppress(OSError), self._socket.makefile('r') as f:
            for line in f:
                with contextlib.suppress(ValueError):
                    self.received.put(json.loads(line))
        self.received.put({'closed': True})

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


class Monitor:
    """QMP: commands one at a time, events kept."""

    def __init__(self, path: Path) -> None:
        self._lines = Lines(path)
        self._lines.received.get(timeout=60)
        self.events: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        self.command('qmp_capabilities')

    def command(self, name: str, deadline: float = 120, /,
                **arguments: object) -> Any:
        with self._lock:
            self._lines.send({'execute': name, 'arguments': arguments})
            while True:
                got = self._next(deadline)
                if 'error' in got:
                    raise SandboxError(f'{name}: {got["error"]}')
                if 'return' in got:
                    return got['return']

    def _next(self, deadline: float) -> dict[str, Any]:
        try:
            got = self._lines.received.get(timeout=deadline)
        except queue.Empty:
            raise SandboxError('no answer from the monitor') from None
        if 'event' in got:
            self.events.append(got)
        if 'closed' in got:
            raise SandboxError('the machine ended')
        return got

    def poll(self) -> None:
        """Take in what has arrived."""
        with self._lock, contextlib.suppress(queue.Empty, SandboxError):
            while True:
                got = self._lines.received.get_nowait()
                if 'event' in got:
                    self.events.append(got)

    def close(self) -> None:
        self._lines.close()


class Guest:
    """The agent in the machine."""

    def __init__(self, path: Path) -> None:
        self._lines = Lines(path)
        self._numbers = itertools.count(int(time.time() * 1000) % 10**9)
        self._waiting: dict[int, queue.Queue[dict[str, Any]]] = {}
        threading.Thread(target=self._dispatch, daemon=True).start()

    def _dispatch(self) -> None:
        while True:
            got = self._lines.received.get()
            if 'closed' in got:
                for waiting in list(self._waiting.values()):
                    waiting.put({'code': None, 'err': 'machine ended'})
                return
            waiting = self._waiting.pop(got.get('id'), None)
            if waiting:
                waiting.put(got)

    def ask(self, patience: float, /, **what: object) -> Done:
        number = next(self._numbers)
        answer: queue.Queue[dict[str, Any]] = queue.Queue()
        self._waiting[number] = answer
        self._lines.send({'id': number, **what})
        try:
            got = answer.get(timeout=patience)
        except queue.Empty:
            self._waiting.pop(number, None)
            raise SandboxError(
                f'no answer from the machine in {patience:g} s to '
                f'{what.get("argv") or what.get("put") or what}') from None
        return Done(got.get('code'), got.get('out', ''), got.get('err', ''),
                    got.get('uptime', 0.0))

    def close(self) -> None:
        self._lines.close()


class Machine:
    """A node of the lab; ``number`` is its host id in sanlock."""

    def __init__(self, number: int, image: Path, disks: Path,
                 directory: Path, guard: Guard,
                 namespace: Namespace, memory_mb: int = MEMORY_MB) -> None:
        self.number, self._memory_mb = number, memory_mb
        self.directory = directory / f'node{number}'
        self.directory.mkdir(exist_ok=True)
        self.console = self.directory / 'console.log'
        self._image, self._disks = image, disks
        self._guard, self._namespace = guard, namespace
        self._service: Service | None = None
        self.monitor: Monitor | None = None
        self.guest: Guest | None = None

    def start(self, saved: str = '') -> None:
        """Boot, or go on from a saved state (stopped, until resume())."""
        self._service = Service(
            f'qemu{self.number}', self.directory,
            self._namespace.enter(self._command(saved)), self._guard)
        self._service.start()
        sockets = [self.directory / name for name in ('qmp', 'agent')]
        self._service.wait_ready(
            lambda: all(path.exists() for path in sockets))
        self.monitor = Monitor(sockets[0])
        self.guest = Guest(sockets[1])

    def _command(self, saved: str) -> list[str]:
        here = self.directory
        words = [
            'nice', '-n', '10', 'qemu-system-x86_64',
            '-name', f'node{self.number}', '-accel', 'tcg,thread=multi',
            '-cpu', 'max', '-M', 'q35', '-m',
            str(self._memory_mb),
            '-nodefaults', '-display', 'none', '-no-reboot',
            '-kernel', str(self._image / 'vmlinuz'),
            '-initrd', str(self._image / 'initrd'), '-append',
            'console=ttyS0 quiet net.ifnames=0 mitigations=off '
            # Reading the emulated HPET instead costs an exit each time.
            'tsc=reliable '
            f'lab.node={self.number}',
            '-serial', f'file:{self.console}',
            '-qmp', f'unix:{here}/qmp,server=on,wait=off',
            '-device', 'virtio-rng-pci', '-device', 'virtio-serial',
            '-chardev',
            f'socket,id=agent,path={here}/agent,server=on,wait=off',
            '-device', 'virtserialport,chardev=agent,name=lab0']
        for name in ('root', 'other'):
            disk = self._disks / f'node{self.number}-{name}.qcow2'
            words += ['-drive', f'file={disk},if=virtio,format=qcow2,'
                      'cache=unsafe']
        for n, network in enumerate(NETWORKS):
            words += [
                '-netdev', f'user,id=net{n},net=10.0.{network}.0/24',
                '-device', f'virtio-net-pci,netdev=net{n},id=nic{n},'
                f'mac=52:54:00:00:0{self.number}:0{n}']
        return words + (['-loadvm', saved, '-S'] if saved else [])

    def resume(self) -> None:
        self.qmp('cont')

    def pause(self) -> None:
        self.qmp('stop')

    def save(self, name: str) -> None:
        """Keep memory and devices in the root disk, under this name."""
        said = self.qmp('human-monitor-command', 600,
                        **{'command-line': f'savevm {name}'})
        if said.strip():
            raise SandboxError(f'savevm: {said}')

    def qmp(self, name: str, deadline: float = 120, /,
            **arguments: object) -> Any:
        assert self.monitor is not None
        return self.monitor.command(name, deadline, **arguments)

    def cable(self, network: int, plugged: bool) -> None:
        """Plug or pull one network: 0 and 1 are the SAN's, 2 is not."""
        self.qmp('set_link', name=f'nic{network}', up=plugged)

    def cut_san(self, plugged: bool = False) -> float:
        """Pull (or plug) both SAN cables; return the machine's uptime."""
        at = self.uptime()
        for network in (0, 1):
            self.cable(network, plugged)
        return at

    @property
    def reset(self) -> bool:
        """Whether the machine was reset from inside (the watchdog)."""
        assert self.monitor is not None
        self.monitor.poll()
        return any(event['event'] == 'SHUTDOWN'
                   and event['data']['reason'] == 'guest-reset'
                   for event in self.monitor.events)

    @property
    def alive(self) -> bool:
        return self._service is not None and self._service.alive

    # in the machine

    def wait_up(self, deadline: float = 240) -> None:
        wait_until(lambda: 'is up' in self.console_text(), deadline,
                   f'node{self.number} up', interval=0.2)
        wait_until(self._answers, 60, f'agent of node{self.number}')

    def _answers(self) -> bool:
        try:
            self.ask(5)
        except SandboxError:
            return False
        return True

    def ask(self, patience: float, /, **what: object) -> Done:
        assert self.guest is not None
        return self.guest.ask(patience, **what)

    def uptime(self) -> float:
        return self.ask(60).uptime

    def run(self, *argv: str, deadline: float = 60,
            check: bool = True) -> Done:
        """Run a command in the machine; SandboxError unless it works."""
        done = self.ask(deadline + 30, argv=argv, deadline=deadline)
        if check and done.code != 0:
            raise SandboxError(
                f'node{self.number}: {" ".join(argv)}: {done.code}\n'
                f'{done.out}{done.err}')
        return done

    def sh(self, script: str, deadline: float = 60,
           check: bool = True) -> Done:
        return self.run('sh', '-c', script, deadline=deadline, check=check)

    def spawn(self, *argv: str, log: str = '/run/spawned.log') -> int:
        return int(self.ask(60, spawn=argv, log=log).out)

    def put(self, path: str, data: bytes, mode: int = 0o644) -> None:
        self.ask(120, put=path, mode=mode,
                 data=base64.b64encode(data).decode())

    def read_json(self, path: str) -> Any:
        return json.loads(self.run('cat', path).out)

    def console_text(self) -> str:
        with contextlib.suppress(OSError):
            return self.console.read_text(errors='replace')
        return ''

    def stop(self) -> None:
        for end in (self.monitor, self.guest):
            if end:
                end.close()
        if self._service:
            self._service.signal(signal.SIGKILL)
            self._service.kill()


def each(machines: Sequence[Machine], work: Any) -> None:
    """Do the same to all machines at the same time."""
    errors: list[Exception] = []

    def guarded(machine: Machine) -> None:
        try:
            work(machine)
        except Exception as error:
            errors.append(error)
    threads = [threading.Thread(target=guarded, args=(m,))
               for m in machines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
