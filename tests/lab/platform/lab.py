# SPDX-License-Identifier: Apache-2.0
"""Two machines with podman and the kernel's clients, real Ceph beside them.

Ceph and the machines are in one network namespace of the lab's own: the
machines reach it at an address there, over the cable of their third network.
"""

import contextlib
import json
from pathlib import Path
import re
import shutil
import tempfile

import rbd

from cinder_tagged.ha.platform.adapters import pool as pools
from cinder_tagged.ha.platform.core import record as records
from devstack.fence_lab import code
from devstack.fence_lab import image
from devstack.fence_lab.cache import Cache
from devstack.fence_lab.machine import each
from devstack.fence_lab.machine import Machine
from devstack.fence_lab.san import Namespace
from devstack.sandbox.ceph import CephCluster
from devstack.sandbox.guard import Guard
from devstack.sandbox.process import run
from devstack.sandbox.process import wait_until
from tests.functional.platform import lab as platform

CEPH = '10.77.0.1'
CABLE = 2
PODMAN = (*platform.PODMAN, '--cgroup-manager', 'cgroupfs')
VOLUME = 'app'
SIZE_MIB = 256
DIRECTORY = '/var/lib/cinder-tagged-platform/app'
CONF = '/etc/cinder-tagged/ha.conf'
RECIPE = image.Recipe('platform', (
    'busybox-static', 'ceph-common', 'conmon', 'e2fsprogs', 'iproute2', 'kmod',
    'mount', 'podman', 'procps', 'python3', 'python3-rados', 'python3-rbd',
    'rbd-nbd', 'runc', 'udev'), size_mb=1500)
#: An emulated machine takes ten times as long as a real one for a command.
HA_CONF = '''
[ha]
node = n{number}
roles = control
[ha_role_control]
resources = app
[ha_resource_app]
type = platform
[ha_platform_app]''' + platform.STAMPS + '''\
volume = app
period = 1
deadline = 10
kill_deadline = 10
start_deadline = 180
agent_deadline = 10
handover = 5
longest_pause = 10
'''
#: The kernel's client speaks the first protocol unless it is told.
CEPH_CONF = '''
[global]
mon_host = {mon_host}
ms_bind_ipv6 = false
rbd_default_map_options = ms_mode=prefer-crc
[client.cinder]
keyring = /etc/ceph/ceph.client.cinder.keyring
'''
#: What the machines' own start does not do.
SETUP = '''
set -e
mkdir -p /acks /etc/containers
mount -t cgroup2 none /sys/fs/cgroup
modprobe overlay
modprobe rbd
[ -e /etc/containers/policy.json ] || echo \
'{"default": [{"type": "insecureAcceptAnything"}]}' \
> /etc/containers/policy.json
'''


class PlatformMachines:
    """Started machines, their storage, and what their containers wrote.

    :param mapper: how they map the volume
    """

    def __init__(self, mapper: str) -> None:
        self.mapper = mapper
        self.files = Path(tempfile.mkdtemp(
            prefix='cinder-tagged-platform-lab-'))
        self._cache = Cache()
        self._guard = Guard(remove=(self.files,))
        self._namespace = Namespace(self.files, self._guard)
        self.ceph = CephCluster(self.files / 'ceph', address=CEPH,
                                guard=self._guard)
        self.nodes: list[Machine] = []

    def close(self) -> None:
        """Leave nothing of it."""
        for node in self.nodes:
            node.stop()
        self._guard.close()
        shutil.rmtree(self.files, ignore_errors=True)
        self._cache.close()

    # -- making --------------------------------------------------------------

    def open(self) -> None:
        """Start all; close() must follow, also when it fails."""
        self._cache.take_turn()
        base = self._cache.image(RECIPE)
        self._guard.watch()
        self._namespace.start()
        with self.network():
            self.ceph.start()
            with self.ceph.ioctx('volumes') as ioctx:
                rbd.RBD().create(ioctx, VOLUME, SIZE_MIB << 20)
        digest = self._container_image()
        self.nodes = [self._machine(number, base) for number in (1, 2)]
        each(self.nodes, lambda node: node.start())
        each(self.nodes, lambda node: self._prepare(node, digest))

    def network(self) -> contextlib.AbstractContextManager[None]:
        """Have this thread be where Ceph is reached."""
        return platform.network_of(self._namespace)

    def _container_image(self) -> str:
        def inside(*argv: str) -> str:
            return run(self._namespace.enter(argv))

        inside('mount', '-t', 'tmpfs', 'mnt', '/mnt')
        platform.own_containers(inside)
        return platform.make_image(self.files, platform.WRITER, inside)

    def _machine(self, number: int, base: Path) -> Machine:
        run(['qemu-img', 'create', '-q', '-f', 'qcow2', '-F', 'qcow2', '-b',
             base / 'base.qcow2', self.files / f'node{number}-root.qcow2'])
        run(['qemu-img', 'create', '-q', '-f', 'qcow2',
             self.files / f'node{number}-other.qcow2', '16M'])
        return Machine(number, base, self.files, self.files, self._guard,
                       self._namespace, memory_mb=768)

    def _prepare(self, node: Machine, digest: str) -> None:
        node.wait_up()
        code.unpack(node, code.archive('*.py', 'ceph/*.py', 'ha/**/*.py'))
        node.put('/lab/role.py',
                 Path(__file__).with_name('role.py').read_bytes())
        node.put('/etc/ceph/ceph.conf', CEPH_CONF.format(
            mon_host=self._mon_host()).encode())
        node.put('/etc/ceph/ceph.client.cinder.keyring', (
            self.ceph.directory / 'client.cinder.keyring').read_bytes(),
            0o600)
        node.put(CONF, HA_CONF.format(
            number=node.number, digest=digest, conf='/etc/ceph/ceph.conf',
            acks='/acks').replace('mapper = fuse',
                                  f'mapper = {self.mapper}').encode())
        node.put('/run/image.tar', (self.files / 'image.tar').read_bytes())
        node.sh(SETUP)
        self.command(node, 'install', '/run/image.tar')
        self.role(node, 'slave')
        node.spawn('python3', '/lab/role.py', CONF, '/run/role',
                   log='/run/role.log')

    def _mon_host(self) -> str:
        found = re.search(r'^mon_host = (.*)$', self.ceph.conf.read_text(),
                          re.MULTILINE)
        assert found
        return found[1]

    # -- acting --------------------------------------------------------------

    @staticmethod
    def command(node: Machine, *words: str) -> str:
        """Run cinder-tagged-platform in a machine; return what it says."""
        return node.run('python3', '-m', 'cinder_tagged.ha.platform.cli',
                        '--config-file', CONF, *words, deadline=300).out

    @staticmethod
    def role(node: Machine, *words: str) -> None:
        """Tell a machine its role: "slave", or "master" and the epoch."""
        node.sh(f'echo {" ".join(words)} > /run/role.new && '
                'mv /run/role.new /run/role')

    def thaw_storage(self) -> None:
        """Let the paused OSD run on."""
        with self.network():
            self.ceph.thaw_osd()

    # -- seeing --------------------------------------------------------------

    @staticmethod
    def status(node: Machine) -> dict:
        """What the keeper of a machine says; {} if nothing yet."""
        done = node.sh(f'cat {DIRECTORY}/status.json', check=False)
        return dict(json.loads(done.out)) if done.code == 0 else {}

    def row(self, node: Machine, *rows: str, deadline: float = 240) -> None:
        """Wait until a machine is in one of these rows."""
        wait_until(lambda: self.status(node).get('row') in rows, deadline,
                   f'node{node.number} in {" or ".join(rows)}', interval=0.3)

    @staticmethod
    def lines(node: Machine, path: str) -> list[list[str]]:
        """A file in a machine, split into words."""
        done = node.sh(f'cat {path}', check=False)
        return [line.split() for line in
                done.out.replace('\0', '\n').splitlines()]

    def acked(self, node: Machine) -> list[list[str]]:
        """Acknowledged by the containers of a machine, in its own time."""
        return [words for words in self.lines(node, '/acks/acked')
                if len(words) == 4]

    def works(self, node: Machine, more: int = 5) -> None:
        """Wait until a machine acknowledges more stamps."""
        wanted = len(self.acked(node)) + more
        wait_until(lambda: len(self.acked(node)) >= wanted, 240,
                   f'stamps from node{node.number}', interval=0.3)

    def judge(self, owner: Machine) -> list[str]:
        """Everything that is wrong; nothing should be.

        :param owner: where the volume is mounted
        """
        acked = [tuple(words[:3]) for node in self.nodes
                 for words in self.acked(node)]
        stamps = [tuple(words) for words in
                  self.lines(owner, f'{DIRECTORY}/data/stamps')
                  if platform.STAMP.match(' '.join(words))]
        found = []
        numbers = [int(stamp[0]) for stamp in stamps]
        if numbers != list(range(1, len(numbers) + 1)):
            found.append('stamps are not numbered one after the other')
        epochs = [int(stamp[1]) for stamp in stamps]
        if epochs != sorted(epochs):
            found.append('owners interleave on the volume')
        if lost := set(acked) - set(stamps):
            found.append(f'acknowledged and lost: {sorted(lost)[:3]}')
        return found

    @staticmethod
    def mapped(node: Machine) -> list[str]:
        """Devices that the kernel of a machine has for RBD images."""
        return node.sh(
            'ls /sys/bus/rbd/devices 2>/dev/null; '
            'for d in /sys/block/nbd*; do [ -e $d/pid ] && echo $d; done; '
            'true').out.split()

    def record(self) -> records.Record:
        """The record of the volume."""
        with self.network():
            pool = pools.Pool(str(self.ceph.conf), 'cinder', 'volumes', 'app',
                              20)
            try:
                return pool.read()[1]
            finally:
                pool.close()

    def fenced(self) -> set[str]:
        """Addresses that the cluster refuses."""
        with self.network(), self.ceph.connect() as client:
            return set(self.ceph.command(client, 'osd dump')['blocklist'])

    def watchers(self) -> set[str]:
        """Addresses of the clients that have the volume open."""
        with self.network(), self.ceph.ioctx('volumes') as ioctx, \
                rbd.Image(ioctx, VOLUME, read_only=True) as volume:
            return {w['addr'] for w in volume.watchers_list()}
