# SPDX-License-Identifier: Apache-2.0
"""The same container on the same volume, managed by Pacemaker.

Cloud, Ceph, container, stamps and judge are those of the platform's tests;
what runs on the servers is another. Nothing that goes wrong ends a benchmark
here: it is noted.
"""

from collections.abc import Callable
import contextlib
from pathlib import Path
import shutil
import time

from benchmarks import pacemaker_cluster
from devstack.sandbox import process
from tests.functional.ha import lab as labs
from tests.functional.platform import faults
from tests.functional.platform import lab as platform

NAME = 'Pacemaker 2.1'
#: Seconds after which a trial is given up.
DEADLINE = 120.0
#: A container has no epoch here: the time of its start (uptime, 0.01 s)
#: tells the judge which of two is the newer.
EPOCH = '''read now rest < /proc/uptime
CINDER_TAGGED_HA_EPOCH=${now%.*}${now#*.}
'''
#: As ours has them among its options.
CONTAINERS = '''[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "none"
'''
RUN_OPTIONS = (
    '--pull=never --network=host --log-driver=k8s-file '
    '--ulimit=nofile=1024:1024 --ulimit=nproc=1024:1024 '
    '--env-file=/mnt/node.env --volume=/mnt/peer/data:/data '
    '--volume={acks}:/acks')


class PeerLab(platform.PlatformLab):
    """Three servers with Pacemaker, the rest as in ours.

    :param writer: what runs in the container
    :param logs: directory that gets the servers' logs when the lab closes
    """

    def __init__(self, writer: str, logs: Path | None = None) -> None:
        first, rest = writer.split('\n', 1)
        self._logs = logs
        super().__init__(writer=f'{first}\n{EPOCH}{rest}')

    def __enter__(self) -> 'PeerLab':
        super().__enter__()
        try:
            self.lab.configure(
                (pacemaker_cluster.FILES / 'resources.xml').read_text(),
                power=str(self.lab.power.path), conf=str(self.ceph.conf),
                image=platform.IMAGE,
                options=RUN_OPTIONS.format(acks=self.acks))
            self.steady()
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._keep_logs()
        super().close()

    def _keep_logs(self) -> None:
        if self._logs is None:
            return
        target = self._logs / time.strftime('%H%M%S')
        for node in self.lab.nodes:
            shutil.copytree(node.space.files / 'log', target / node.name,
                            dirs_exist_ok=True)
        for name in ('acked', 'alive', 'refused'):
            if (self.acks / name).exists():
                shutil.copy(self.acks / name, target)
        (target / 'power').write_text(''.join(
            f'{at:.2f} {verb} {server}\n'
            for at, verb, server in self.lab.power.done))

    # -- making --------------------------------------------------------------

    def _cloud(self) -> pacemaker_cluster.Cluster:
        return pacemaker_cluster.Cluster(self.files / 'power', self._prepare)

    def _volume(self) -> None:
        """Formatted, and without RBD's exclusive lock.

        That lock would keep a new owner waiting for up to 30 s until the
        cluster has noticed the death of the one before; where a fencing
        device sees to a single writer it is customary to do without.
        """
        disk = self.files / 'disk'
        with disk.open('wb') as file:
            file.truncate(platform.SIZE_MIB << 20)
        process.run(['mkfs.ext4', '-q', '-F', '-E', 'nodiscard', disk])
        process.run(['rbd', '-c', self.ceph.conf, 'import', '--no-progress',
                     '--image-feature', 'layering', disk, 'volumes/app'])
        disk.unlink()

    def _prepare(self, node: pacemaker_cluster.Server) -> None:
        files = node.space.files
        self._containers(node.space.run)
        node.space.run(*platform.PODMAN, 'load', '-q', '-i',
                       str(self.files / 'image.tar'))
        (files / 'containers.conf').write_text(CONTAINERS)
        (files / 'node.env').write_text(
            f'CINDER_TAGGED_HA_NODE={node.name}\n')

    # -- seeing --------------------------------------------------------------

    def data(self, node: pacemaker_cluster.Server) -> str:
        return '/mnt/peer/data'

    def mapped(self, node: pacemaker_cluster.Server) -> str:
        return '/mnt/peer/rbd'

    def steady(self) -> pacemaker_cluster.Server:
        """Wait until all servers are well and stamps come from one."""
        def check() -> pacemaker_cluster.Server | None:
            state = self.lab.state()
            name = state.place()
            if state.online == 3 and state.quorum and name and (
                    name == self.runs_on(begin)):
                return self.node(name)
            time.sleep(0.3)  # each look costs a process
            return None
        self.lab.joined()
        self.lab.settle()
        begin = self.uptime()
        node: pacemaker_cluster.Server = labs.wait_for(
            check, 'stamps from where Pacemaker has the platform')
        return node

    # -- faults --------------------------------------------------------------

    def die(self, node: pacemaker_cluster.Server) -> None:
        node.power_off()

    def mend(self, node: pacemaker_cluster.Server) -> None:
        """Undo the fault; servers without power are for the cluster."""
        self.lab.switch.heal()
        if node.on and self.frozen(node):
            self.thaw(node)

    @staticmethod
    def frozen(node: pacemaker_cluster.Server) -> bool:
        """Whether its processes stand still."""
        for pid in node.space.processes():
            with contextlib.suppress(OSError):
                stat = Path(f'/proc/{pid}/stat').read_text()
                if stat.rpartition(')')[2].split()[0] == 'T':
                    return True
        return False


class PeerFaults(faults.Faults):
    """The same trials; what goes wrong is noted."""

    lab: PeerLab

    def __init__(self, lab: PeerLab, pause: float) -> None:
        super().__init__(lab, pause)
        #: after each of them all servers are mended
        self.moving = {name: (strike, lab.mend)
                       for name, (strike, _) in self.moving.items()}
        #: False once the cluster did not get well after a repair
        self.usable = True

    def _switch(self, node: labs.Node) -> None:
        self.lab.lab.tool('crm_resource', '--move', '--resource', 'platform',
                          '--node', self._others(node)[0].name)

    def _moving(self, strike: Callable[[labs.Node], object],
                repair: Callable[[labs.Node], object]) -> faults.Trial:
        before = self.lab.steady()
        begin = self.lab.uptime()
        try:
            strike(before)
            back = self._back(begin, before.name)
        except BaseException:
            repair(before)
            raise
        return self._ended(before, begin, back)

    def _paused(self) -> faults.Trial:
        before = self.lab.steady()
        end = self.lab.uptime() + self.pause
        self.lab.ceph.pause('osd')
        try:
            while self.lab.uptime() < end:
                self.lab.lab.boot_due()
                time.sleep(0.1)
        finally:
            begin = self.lab.uptime()
            self.lab.thaw_storage()
        return self._ended(before, begin, self._back(begin, ''))

    def _back(self, begin: float, other: str) -> float | None:
        """Wait for a stamp of another server; its time, None if none is."""
        while self.lab.uptime() < begin + DEADLINE:
            self.lab.lab.boot_due()
            for words in self.lab.acked():
                if float(words[3]) > begin and words[2] != other:
                    return float(words[3])
            time.sleep(0.02)
        return None

    def _ended(self, before: labs.Node, begin: float,
               back: float | None) -> faults.Trial:
        """Repair it, have it got well, and judge."""
        try:
            self.lab.mend(before)
            self.lab.lab.joined()
            self.lab.lab.clean()
            wrong = self.lab.judge(self.lab.steady())
        except (TimeoutError, RuntimeError) as exc:
            self.usable = False
            wrong = [f'not well again after the repair: {exc}']
        if back is None:
            return faults.Trial(DEADLINE, wrong, False)
        return faults.Trial(back - begin, wrong)
