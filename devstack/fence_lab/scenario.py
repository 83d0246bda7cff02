# SPDX-License-Identifier: Apache-2.0
"""What happens when node 1 loses its SAN: once stock, once fenced.

Times are seconds of the machines' own clocks, counted from the moment the
cables were pulled: a busy host makes machines slow, not wrong.
"""

from collections.abc import Callable
import contextlib
from dataclasses import asdict
from dataclasses import dataclass
from dataclasses import field
from datetime import datetime
from datetime import UTC
import json
import os
import re
import time
from typing import Any

from devstack.fence_lab.beside import ADDRESS
from devstack.fence_lab.beside import EXPORT
from devstack.fence_lab.lab import Lab
from devstack.fence_lab.machine import Machine
from devstack.fence_lab.prepare import paths
from devstack.fence_lab.prepare import VG
from devstack.sandbox.process import SandboxError
from devstack.sandbox.process import wait_until

BLOCKS = 64
KILL_COMMAND = '/usr/local/bin/cinder-tagged-fence kill'
# The console survives a reset.
WATCH_LOG = '/dev/ttyS0'
_RESET = re.compile(r'\[\s*(\d+\.\d+)\].*softdog: Initiating system reboot')
_PATH_LOST = re.compile(
    r'\[\s*(\d+\.\d+)\].*multipath: (\d+:\d+): Failing path (\d+:\d+)')
_DROPPED = re.compile(
    r'^(\S+ \S+) \d+ WARNING .* drop the locks of vg in lvmlockd$', re.M)
_CLEAR = re.compile(r' (\d+) \[\d+\]: s\d+ all pids clear')
# Two paths to each of two maps.
PATHS = 4


@dataclass
class Result:
    """None where something did not happen.

    ``other_gap``: the longest pause of writes to a network device outside
    the SAN.  ``late_blocks``: blocks of the peer's volume that carry the
    old owner's stamp at the end.  ``load``: the host's, over the last
    minute, when the cables were pulled.
    """

    kind: str
    lease_age: float | None = None
    node_reset: float | None = None
    paths_lost: float | None = None
    io_ended: float | None = None
    locks_dropped: float | None = None
    peer_active: float | None = None
    other_gap: float | None = None
    late_blocks: int | None = None
    recovered: float | None = None
    io_timeout: int | None = None
    load: float | None = None
    notes: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class Scene:
    """A lab with writers: on the SAN, and on a device beside it."""

    def __init__(self, lab: Lab,
                 say: Callable[[str], None] = lambda text: None) -> None:
        self.lab = lab
        self.say = say
        self.cut_at = 0.0
        self._offset = 0.0
        self._clock = 0.0

    def other_device(self) -> None:
        """Attach a network device that is not on the SAN, write to it."""
        node = self.lab.one
        node.sh(f'nbd-client {ADDRESS} -N {EXPORT} /dev/nbd0 -b 4096',
                deadline=300)
        self._write('/dev/nbd0', 'other')

    def write(self, volume: str, owner: str = 'node1',
              node: Machine | None = None) -> None:
        self._write(f'/dev/{VG}/{volume}', volume, owner, node)

    def _write(self, device: str, name: str, owner: str = 'node1',
               node: Machine | None = None) -> None:
        node = node or self.lab.one
        node.spawn('python3', '/lab/writer.py', device, owner,
                   f'/run/{name}.json', str(BLOCKS))
        wait_until(lambda: self.report(name, node).get('done', 0) > 5, 300,
                   f'writes to {device}', interval=0.3)

    def report(self, name: str, node: Machine | None = None,
               ) -> dict[str, Any]:
        with contextlib.suppress(SandboxError, ValueError):
            found = (node or self.lab.one).read_json(f'/run/{name}.json')
            return dict(found)
        return {}

    def use_kill_command(self) -> None:
        self.lab.one.sh(
            "sed -i 's|^global {|global {\\n    lvmlockctl_kill_command = "
            f'"{KILL_COMMAND}"|\' /etc/lvm/lvm.conf')

    def use_watcher(self, config: str = '') -> None:
        node = self.lab.one
        node.put('/etc/cinder-tagged-fence.conf',
                 ('[fence]\n' + config).encode())
        node.spawn('cinder-tagged-fence', '--config-file',
                   '/etc/cinder-tagged-fence.conf', 'watch',
                   log=WATCH_LOG)
        wait_until(lambda: 'watching' in self.log(), 400, 'the watcher',
                   interval=0.5)

    def log(self) -> str:
        return self.lab.one.console_text()

    def begin(self, kind: str) -> Result:
        return Result(kind, lease_age=self.lease_age(),
                      io_timeout=self.lab.io_timeout,
                      load=round(os.getloadavg()[0], 1))

    def cut(self) -> None:
        self._offset = self.lab.two.uptime() - self.lab.one.uptime()
        now = self.lab.one.run('date', '+%s.%N')
        self._clock = float(now.out) - now.uptime
        self.cut_at = self.lab.one.cut_san()
        self.say('both SAN cables of node 1 pulled')

    def since(self, uptime: float | None) -> float | None:
        return None if uptime is None else round(uptime - self.cut_at, 2)

    def lease_age(self) -> float:
        said = self.lab.one.run('sanlock', 'client', 'status', '-D').out
        last = int(re.search(r'renewal_last_success=(\d+)', said).group(1))
        return round(self.lab.one.uptime() - last, 1)

    # waiting for what comes

    def await_reset(self, deadline: float = 600) -> float | None:
        """Return when the watchdog reset node 1 (None: it never did)."""
        node = self.lab.one
        wait_until(lambda: node.reset or not node.alive, deadline,
                   'the reset of node 1', interval=0.5)
        found = _RESET.findall(node.console_text())
        return self.since(float(found[-1])) if found else None

    def paths_lost(self) -> float | None:
        """Return when the kernel failed the last path, by its own log."""
        first: dict[tuple[str, str], float] = {}
        for at, device, path in _PATH_LOST.findall(
                self.lab.one.run('dmesg').out):
            if float(at) >= self.cut_at:
                first.setdefault((device, path), float(at))
        return (self.since(max(first.values())) if len(first) == PATHS
                else None)

    def await_paths_lost(self) -> float | None:
        """Look rarely: each look takes the slow machine's only CPU."""
        wait_until(lambda: self.paths_lost() is not None, 300,
                   'the loss of all paths', interval=3)
        return self.paths_lost()

    def await_io_end(self, name: str = 'one') -> float | None:
        wait_until(lambda: self.report(name).get('first_error'), 400,
                   'the end of the I/O', interval=2)
        return self.since(self.report(name)['first_error'])

    def await_drop(self) -> float | None:
        def gone() -> bool:
            done = self.lab.one.run('lvmlockctl', '-i', check=False)
            return done.code == 0 and f'VG {VG} ' not in done.out
        wait_until(gone, 400, 'the drop of locks', interval=2)
        seen = self.lab.one.uptime()
        return self.since(min([seen, *self._drops()]))

    def _drops(self) -> list[float]:
        """Return node 1's uptime at drops, by the watcher and sanlock."""
        at = [datetime.fromisoformat(stamp).replace(tzinfo=UTC).timestamp()
              - self._clock for stamp in _DROPPED.findall(self.log())]
        at += map(float, _CLEAR.findall(self.log()))
        return [uptime for uptime in at if uptime > self.cut_at]

    def peer_takes(self, volume: str, deadline: float = 600) -> float | None:
        """Let node 2 try until it has the lock; return when it had."""
        node = self.lab.two
        end = time.monotonic() + deadline
        while time.monotonic() < end:
            done = node.sh(f'lvchange -aey {VG}/{volume}', check=False)
            if done.code == 0:
                self.say(f'node 2 has taken {volume}')
                return self.since(done.uptime - self._offset)
            # Sanlock makes it wait two minutes; each try takes a second of
            # the emulated machine's time.
            early = (self.since(done.uptime - self._offset) or 0) < (
                8 * self.lab.io_timeout + 30)
            time.sleep(10 if early else 1)
        raise SandboxError(f'node 2 never got {volume}')

    def peer_writes_over(self, volume: str) -> None:
        """Write every block of the test's range anew, as node 2."""
        self.write(volume, 'node2', self.lab.two)
        wait_until(lambda: self.report(volume, self.lab.two)['done']
                   > 2 * BLOCKS, 400, 'writes of node 2', interval=0.5)

    def peer_stops(self) -> None:
        self.lab.two.sh('pkill -f /lab/writer.py; sleep 1', check=False)

    def owners(self, volume: str) -> dict[str, int]:
        """Return whose stamps node 2 reads, by owner."""
        found = self.lab.two.run(
            'python3', '/lab/scan.py', f'/dev/{VG}/{volume}', str(BLOCKS))
        return dict(json.loads(found.out))

    def plug(self) -> None:
        self.lab.one.cut_san(plugged=True)
        self.say('both SAN cables of node 1 plugged again')
        wait_until(lambda: all(n == 2 for n in
                               paths(self.lab.one).values()), 400,
                   'the paths of node 1', interval=0.5)

    def recover(self) -> dict[str, Any]:
        done = self.lab.one.sh(
            f'cinder-tagged-fence recover --json {VG} 2>/run/recover.log',
            deadline=900, check=False)
        if not done.out.strip():
            raise SandboxError(
                'recover: ' + self.lab.one.run('cat', '/run/recover.log').out)
        return {**json.loads(done.out), 'code': done.code}

    def tables(self, node: Machine | None = None) -> dict[str, str]:
        """Return the target kind of every device by name."""
        said = (node or self.lab.one).run('dmsetup', 'table').out
        found = {}
        for line in said.splitlines():
            name, _, rest = line.partition(': ')
            found[name] = rest.split()[2]
        return found


def stock(lab: Lab, say: Callable[[str], None] = print) -> Result:
    """No fencing: node 1 hangs, then its watchdog resets it."""
    scene = Scene(lab, say)
    scene.say('both machines are up, locks held')
    lab.install()
    scene.other_device()
    scene.write('one')
    result = scene.begin('stock')
    scene.cut()
    result.paths_lost = scene.await_paths_lost()
    scene.say(f'all paths lost at +{result.paths_lost} s; I/O hangs; '
              'the watchdog has two minutes')
    result.node_reset = scene.await_reset()
    scene.say(f'node 1 was reset at +{result.node_reset} s')
    result.peer_active = scene.peer_takes('one')
    return result


def fenced(lab: Lab, say: Callable[[str], None] = print,
           by: str = 'watcher') -> Result:
    """Fencing by the watcher or by the kill command, and the way back."""
    scene = Scene(lab, say)
    scene.say('both machines are up, locks held')
    lab.install()
    scene.other_device()
    scene.write('one')
    if by == 'watcher':
        scene.use_watcher()
    else:
        scene.use_kill_command()
    result = scene.begin(by)
    scene.cut()
    result.io_ended = scene.await_io_end()
    result.locks_dropped = scene.await_drop()
    result.paths_lost = scene.await_paths_lost()
    scene.say(f'all paths lost at +{result.paths_lost} s')
    scene.say(f'I/O ended with errors at +{result.io_ended} s')
    scene.say(f'locks dropped at +{result.locks_dropped} s; node 2 may '
              'take the volume when sanlock holds the lease for expired')
    result.peer_active = scene.peer_takes('one')
    scene.peer_writes_over('one')
    scene.peer_stops()
    scene.say('node 2 has written over the volume; node 1 is still up')
    scene.plug()
    back = scene.recover()
    result.recovered = back['seconds']
    result.notes = [f'{back["outcome"]}: back {back["back"]}, '
                    f'elsewhere {back["taken"]}']
    scene.say(result.notes[0])
    owners = scene.owners('one')
    result.late_blocks = sum(owners.values()) - owners.get('node2', 0)
    result.other_gap = round(scene.report('other')['longest_gap'], 2)
    scene.say(f'longest pause of the other device {result.other_gap} s, '
              f'late blocks {result.late_blocks}')
    if lab.one.reset or not lab.one.alive:
        raise SandboxError('node 1 did not survive')
    return result
