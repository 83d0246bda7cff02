# SPDX-License-Identifier: Apache-2.0
"""Three servers with agents, real Ceph beside them, one container.

The container writes numbered stamps with its owner to the volume, each one
forced to the disk, and acknowledges it in a directory outside of the lab.
A write that was refused is noted there as well.
"""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import ctypes
import json
import os
from pathlib import Path
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
from typing import Any

import rbd

from devstack.sandbox.ceph import CephCluster
from devstack.sandbox.guard import Guard
from tests.functional.ha import lab as labs
from tests.functional.ha import spaces

CEPH = '10.77.0.50'
IMAGE = 'localhost/stamps:1'
CLONE_NEWNET = 0x40000000
SIZE_MIB = 256
PODMAN = ('podman', '--runtime', 'runc', '--events-backend', 'none')

#: Runs in the container.  A stamp is acknowledged after its fsync; "alive"
#: is written whatever the volume does, with the machine's one clock.  It
#: ends at once where the file "die" is.
WRITER = r'''#!/bin/sh
[ ! -e /acks/die ] || { echo told to die >&2; exit 7; }
mark="$CINDER_TAGGED_HA_EPOCH $CINDER_TAGGED_HA_NODE"
( while :; do
    read now rest < /proc/uptime
    echo "$now $mark" >> /acks/alive
    usleep 50000
  done ) &
# A full volume may have torn the last line; one whose write was never
# acknowledged may be zeros after a power cut.
[ -z "$(tail -c 1 /data/stamps 2>/dev/null | tr '\0' .)" ] ||
  echo >> /data/stamps || exit 4
number=$(tail -n 5 /data/stamps 2>/dev/null | tr '\0' '\n' |
         grep '^[0-9]* [0-9]* n[0-9]$' | tail -n 1 | cut -d' ' -f1)
number=${number:-0}
while :; do
  number=$((number + 1))
  echo "$number $mark" |
    dd of=/data/stamps oflag=append conv=notrunc,fsync 2>/dev/null || {
      read now rest < /proc/uptime
      echo "$now $mark" >> /acks/refused
      exit 3
    }
  read now rest < /proc/uptime
  echo "$number $mark $now" >> /acks/acked
  usleep 20000
done
'''

#: A whole line of theirs: number, epoch, server.
STAMP = re.compile(r'\d+ \d+ n\d$')

#: Ends whatever is left in the lab's namespaces once the test has gone.
REAPER = '''
import os, select, signal, sys, time
owner, names = int(sys.argv[1]), set(sys.argv[2:])
poll = select.poll()
poll.register(os.pidfd_open(owner), select.POLLIN)
if os.getppid() == owner:
    poll.poll()
for _ in range(100):
    found = False
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{pid}/ns/net") in names:
                os.kill(int(pid), signal.SIGKILL)
                found = True
        except OSError:
            pass
    if not found:
        break
    time.sleep(0.1)
'''

#: Of any platform that runs these stamps.
STAMPS = '''
image = localhost/stamps:1
digest = {digest}
ceph_conf = {conf}
ceph_user = cinder
pool = volumes
mapper = fuse
container_options = --runtime,runc,--cgroup-manager,cgroupfs,\
--events-backend,none
run_options = --ulimit=nofile=1024:1024,--ulimit=nproc=1024:1024,\
--volume={acks}:/acks
stop_deadline = 2
'''

PLATFORM = '''
[ha_probes]
ceph_conf = {conf}
ceph_user = cinder
ceph_pool = volumes
period = 0.5
deadline = 2
fall = 1
[ha_resource_app]
type = platform
[ha_platform_app]''' + STAMPS + '''\
volume = app
size = 1
mountpoint = /mnt/{node}/data
state_dir = /mnt/{node}
period = 0.5
deadline = 3
kill_deadline = 2
agent_deadline = 0.5
handover = 0.5
longest_pause = 4
'''


@contextlib.contextmanager
def network_of(space: spaces.Space) -> Iterator[None]:
    """Have this thread, and what it starts, be in the machine's network."""
    own = os.open('/proc/thread-self/ns/net', os.O_RDONLY)
    other = os.open(f'/proc/{space.pid}/ns/net', os.O_RDONLY)
    setns = ctypes.CDLL(None, use_errno=True).setns
    try:
        if setns(other, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), 'setns')
        yield
    finally:
        setns(own, CLONE_NEWNET)
        os.close(own)
        os.close(other)


def own_containers(inside: Callable[..., str]) -> None:
    """Give a machine places of its own for containers.

    :param inside: runs a command in the machine, returns its output
    """
    for command in ('mkdir -p /mnt/containers /var/lib/containers',
                    'mount --bind /mnt/containers /var/lib/containers',
                    'mount -t tmpfs run /run',
                    'mount -t tmpfs shm /dev/shm'):
        inside(*command.split())


def make_image(files: Path, writer: str, inside: Callable[..., str]) -> str:
    """Make FILES/image.tar with a container image; return its digest."""
    root = files / 'rootfs'
    for name in ('bin', 'data', 'acks', 'dev', 'proc', 'tmp'):
        (root / name).mkdir(parents=True)
    shutil.copy('/bin/busybox', root / 'bin/busybox')
    for name in ('sh', 'tail', 'cut', 'dd', 'grep', 'tr', 'usleep',
                 'sleep'):
        (root / 'bin' / name).symlink_to('busybox')
    (root / 'bin/writer').write_text(writer)
    (root / 'bin/writer').chmod(0o755)
    with tarfile.open(files / 'rootfs.tar', 'w') as archive:
        archive.add(root, '.')
    inside(*PODMAN, 'import', '--change', 'CMD ["/bin/writer"]',
           str(files / 'rootfs.tar'), IMAGE)
    digest = 'sha256:' + inside(
        *PODMAN, 'image', 'inspect', '--format', '{{.Id}}', IMAGE).strip()
    inside(*PODMAN, 'save', '-q', '-o', str(files / 'image.tar'), IMAGE)
    inside(*PODMAN, 'rmi', IMAGE)
    return digest


class PlatformLab:
    """The cloud, its storage and what the container has acknowledged.

    What somebody else manages the container with has another cloud: the
    methods under "making" and the places of the volume are for it to replace.
    """

    def __init__(self, changes: str = '', writer: str = WRITER) -> None:
        self._changes, self._writer = changes, writer
        self.files = Path(tempfile.mkdtemp(prefix='cinder-tagged-platform-'))
        self.acks = self.files / 'acks'
        self.acks.mkdir()
        self.lab = self._cloud()
        self.space = spaces.Space('ceph')
        self.lab.switch.plug(self.space, f'{CEPH}/24')
        self._guard = Guard(remove=(self.files,))
        self.ceph = CephCluster(self.files / 'ceph', address=CEPH,
                                guard=self._guard)
        #: when (uptime, s) a server that stood still in an epoch went on
        self.thawed: dict[str, float] = {}
        self._owner = self._digest = ''
        self._reaper: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> 'PlatformLab':
        try:
            self._guard.watch()
            with network_of(self.space):
                self.ceph.start()
                self._volume()
            self.lab.__enter__()
            names = [os.readlink(f'/proc/{n.space.pid}/ns/net')
                     for n in self.lab.nodes]
            self._reaper = subprocess.Popen(
                [sys.executable, '-I', '-S', '-c', REAPER, str(os.getpid()),
                 *names], start_new_session=True, stdin=subprocess.DEVNULL)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        for node in self.lab.nodes:
            node.space.signal_all(signal.SIGKILL)
            for path in (self.data(node), self.mapped(node)):
                node.space.run('umount', '-l', path, check=False)
        self.lab.close()
        with network_of(self.space):
            self.ceph.stop()
        self._guard.close()
        self.space.close()
        if self._reaper is not None:
            self._reaper.kill()
            self._reaper.wait(30)
        for group in Path('/sys/fs/cgroup').glob('*/libpod_parent/libpod-*'):
            with contextlib.suppress(OSError):
                group.rmdir()
        shutil.rmtree(self.files, ignore_errors=True)

    # -- making --------------------------------------------------------------

    def _cloud(self) -> Any:
        return labs.Lab('default', 3, role_options='resources = app\n',
                        prepare=self._prepare)

    def _volume(self) -> None:
        """Make the volume; called in the network of the storage."""
        with self.ceph.ioctx('volumes') as ioctx:
            rbd.RBD().create(ioctx, 'app', SIZE_MIB << 20)

    def _containers(self, inside: Callable[..., str]) -> None:
        """Ready a server for containers; the first one makes the image."""
        own_containers(inside)
        if not self._digest:
            self._digest = make_image(self.files, self._writer, inside)

    def _prepare(self, node: labs.Node) -> None:
        (node.space.files / node.name).mkdir()
        self._containers(node.space.run)
        with node.conf.open('a') as conf:
            conf.write(PLATFORM.format(
                conf=self.ceph.conf, digest=self._digest, node=node.name,
                acks=self.acks) + self._changes)
        done = self.command(node, 'install', str(self.files / 'image.tar'))
        if done.returncode:
            raise RuntimeError(done.stderr)

    def command(self, node: labs.Node, *words: str
                ) -> subprocess.CompletedProcess[str]:
        """Run cinder-tagged-platform on a server."""
        return subprocess.run(
            node.space.inside([
                sys.executable, '-m', 'cinder_tagged.ha.platform.cli',
                '--config-file', '/mnt/ha.conf', *words]),
            capture_output=True, text=True, timeout=120,
            env=labs.environment(), check=False)

    def thaw_storage(self) -> None:
        """Let the paused OSD run on."""
        with network_of(self.space):
            self.ceph.thaw_osd()

    # -- seeing --------------------------------------------------------------

    def data(self, node: labs.Node) -> str:
        """Where the volume is mounted on a server."""
        return f'/mnt/{node.name}/data'

    def mapped(self, node: labs.Node) -> str:
        """Where rbd-fuse shows it."""
        return f'/mnt/{node.name}/app/fuse'

    def status(self, node: labs.Node) -> dict:
        with contextlib.suppress(OSError, ValueError):
            return json.loads((
                node.space.files / node.name / 'app/status.json').read_text())
        return {}

    def lines(self, name: str) -> list[list[str]]:
        """What the container wrote outside, split into words."""
        with contextlib.suppress(OSError):
            text = (self.acks / name).read_text()
            return [line.split() for line in text.splitlines()]
        return []

    def acked(self) -> list[list[str]]:
        return [words for words in self.lines('acked') if len(words) == 4]

    def runs_on(self, after: float = 0) -> str:
        """Node of the newest acknowledged stamp after a time."""
        acked = self.acked()
        return acked[-1][2] if acked and float(acked[-1][3]) > after else ''

    def node(self, name: str) -> labs.Node:
        return next(n for n in self.lab.nodes if n.name == name)

    def working(self, after: float = 0, other: str = '') -> labs.Node:
        """Wait for stamps, of another server than ``other``."""
        name = labs.wait_for(
            lambda: (n := self.runs_on(after)) != other and n,
            f'stamps of another server than {other or "none"}')
        return self.node(name)

    def steady(self) -> labs.Node:
        """Wait until stamps come from the holder of the role."""
        def check() -> labs.Node | None:
            holder = self.lab.holder()
            if holder is not None and holder.name == self.runs_on(begin):
                return holder
            return None
        self.lab.settled()
        begin = self.uptime()
        node: labs.Node = labs.wait_for(
            check, 'stamps from the holder of the role')
        return node

    def stamps(self, node: labs.Node) -> list[list[str]]:
        text = node.space.run('cat', f'{self.data(node)}/stamps')
        # What is zeros was never acknowledged, or it is missed.
        return [line.split() for line in text.replace('\0', '\n').splitlines()
                if STAMP.match(line)]

    def judge(self, node: labs.Node) -> list[str]:
        """Everything that is wrong; nothing should be.

        The container of a server that stood still goes on until its keeper
        looks (``thawed`` has since when): that is no fault of the platform
        as long as it does not write.  It may acknowledge the one stamp whose
        write had ended before.

        :param node: where the volume is mounted now
        """
        acked = self.acked()
        stamps = self.stamps(node)
        found = []
        numbers = [int(words[0]) for words in stamps]
        if numbers != list(range(1, len(numbers) + 1)):
            found.append('stamps are not numbered one after the other')
        epochs = [int(words[1]) for words in stamps]
        if epochs != sorted(epochs):
            found.append('owners interleave on the volume')
        kept = {tuple(words) for words in stamps}
        lost = [words for words in acked if tuple(words[:3]) not in kept]
        if lost:
            found.append(f'{len(lost)} acknowledged stamps are lost: '
                         f'{lost[:3]}')
        alive = sorted((float(w[0]), int(w[1])) for w in self.lines('alive')
                       if len(w) == 3 and not self._after_thaw(w[1], w[0]))
        if [e for _, e in alive] != sorted(e for _, e in alive):
            found.append('two containers ran at the same time')
        for epoch in self.thawed:
            late = [w for w in acked
                    if w[1] == epoch and self._after_thaw(epoch, w[3])]
            if len(late) > 1:
                found.append(f'a server that stood still in epoch {epoch} '
                             f'wrote again: {late[:3]}')
        return found

    def _after_thaw(self, epoch: str, at: str) -> bool:
        return float(at) >= self.thawed.get(epoch, float('inf'))

    def refused(self, epoch: str) -> bool:
        """Whether a write of the container of an epoch was refused."""
        return any(len(w) == 3 and w[1] == epoch
                   for w in self.lines('refused'))

    # -- faults --------------------------------------------------------------

    def die(self, node: labs.Node) -> None:
        """The server loses power."""
        self.lab.switch.link(node.space, False)
        node.space.signal_all(signal.SIGKILL)
        node.die()

    def freeze(self, node: labs.Node) -> None:
        """The whole server stands still."""
        self._owner = self.acked()[-1][1]
        node.space.signal_all(signal.SIGSTOP)

    def thaw_container(self, node: labs.Node) -> str:
        """Let the container and its volume go on, but nothing else.

        :returns: the epoch of its container
        """
        self.thawed[self._owner] = self.uptime()
        own = os.readlink(f'/proc/{node.space.pid}/ns/mnt')
        for pid in node.space.processes():
            with contextlib.suppress(OSError):
                words = Path(f'/proc/{pid}/cmdline').read_bytes()
                if words.startswith(b'rbd-fuse') or (
                        os.readlink(f'/proc/{pid}/ns/mnt') != own):
                    os.kill(pid, signal.SIGCONT)
        return self._owner

    def thaw(self, node: labs.Node) -> None:
        self.thawed.setdefault(self._owner, self.uptime())
        node.space.signal_all(signal.SIGCONT)

    def spoil(self) -> None:
        """Wipe the file system's superblock; nobody may have it mapped."""
        with network_of(self.space), self.ceph.ioctx('volumes') as ioctx, \
                rbd.Image(ioctx, 'app') as image:
            image.write(bytes(1024), 1024)
            image.flush()

    def device(self, node: labs.Node) -> str:
        """What the volume is mapped to on a server."""
        return str(json.loads((
            node.space.files / node.name / 'app/mapping.json').read_text()
        )['device'])

    def uptime(self) -> float:
        return float(Path('/proc/uptime').read_text().split()[0])
