# SPDX-License-Identifier: Apache-2.0
"""Three servers with Corosync and Pacemaker, and the switch of their power.

Every server has its own network, mounts, host name, and thereby its own
/run, /dev/shm, /etc/corosync and /var/lib; Debian's packages are used as they
are. The daemons of one server and what they start are all in its network: a
server without power is one in whose network nothing runs.
"""

from collections.abc import Callable
import contextlib
import grp
import os
from pathlib import Path
import pwd
import secrets
import shutil
import signal
import string
import subprocess
import threading
import time
from typing import Any
from xml.sax import saxutils

from benchmarks import pacemaker_power
from benchmarks import pacemaker_state
from tests.functional.ha import lab as labs
from tests.functional.ha import spaces

FILES = Path(__file__).parent / 'pacemaker'
#: What an operator would set; all else is Corosync's default.
COROSYNC = '''totem {{
  version: 2
  cluster_name: peer
  transport: knet
  crypto_cipher: aes256
  crypto_hash: sha256
  token: 1000
}}
nodelist {{
{nodes}}}
quorum {{
  provider: corosync_votequorum
}}
logging {{
  to_syslog: no
  to_logfile: yes
  logfile: /mnt/log/corosync.log
  timestamp: hires
}}
'''
NODE = '''  node {{
    ring0_addr: {node.ip}
    name: {node.name}
    nodeid: {node.number}
  }}
'''
#: Pacemaker's, besides its defaults (fencing on, what has no quorum stops).
#: A start that failed is tried again, as ours is.
OPTIONS = {'start-failure-is-fatal': 'false'}
DEFAULTS = {'resource-stickiness': '100', 'migration-threshold': '3',
            'failure-timeout': '30s'}
#: What a server loses with its power: these mounts, and those below.
VOLATILE = ('/run', '/dev/shm')
BELOW = ('/run/', '/dev/shm/', '/mnt/peer/', '/var/lib/containers/')
#: Seconds after which a server that was fenced is up again.
BOOT = 60.0


class Server:
    """One machine with Corosync and Pacemaker."""

    def __init__(self, cluster: 'Cluster', number: int) -> None:
        self.cluster, self.number = cluster, number
        self.name, self.ip = f'n{number}', f'10.77.0.{10 + number}'
        self.space = spaces.Space(self.name)
        cluster.switch.plug(self.space, f'{self.ip}/24')
        self.off_since: float | None = time.monotonic()
        self._lock = threading.Lock()

    @property
    def on(self) -> bool:
        return self.off_since is None

    def prepare(self, conf: str, key: bytes) -> None:
        """Make what survives a loss of power."""
        files, inside = self.space.files, self.space.run
        user = pwd.getpwnam('hacluster')
        for name in ('corosync', 'ring', 'pacemaker/cib', 'pacemaker/cores',
                     'pacemaker/pengine', 'pacemaker/blackbox', 'log',
                     'sbin', 'ocf/lab', 'peer'):
            (files / name).mkdir(parents=True)
        for path in (files / 'log', files / 'pacemaker',
                     *(files / 'pacemaker').iterdir()):
            path.chmod(0o770)
            os.chown(path, user.pw_uid, grp.getgrnam('haclient').gr_gid)
        (files / 'corosync/corosync.conf').write_text(conf)
        (files / 'corosync/authkey').write_bytes(key)
        (files / 'corosync/authkey').chmod(0o400)
        shutil.copy(FILES / 'fence_lab', files / 'sbin')
        shutil.copy(FILES / 'rbdfuse', files / 'ocf/lab')
        for source, target in (('corosync', '/etc/corosync'),
                               ('ring', '/var/lib/corosync'),
                               ('pacemaker', '/var/lib/pacemaker')):
            inside('mount', '--bind', f'/mnt/{source}', target)
        # Both look for agents in the one place that they were built with.
        for source, target in (('sbin', '/usr/sbin'),
                               ('ocf', '/usr/lib/ocf/resource.d')):
            inside('mount', '-t', 'overlay', 'overlay', '-o',
                   f'lowerdir=/mnt/{source}:{target}', target)

    def _start(self, *command: str, log: str) -> None:
        environ = {**labs.environment(), 'PCMK_logfile': '/mnt/log/pacemaker',
                   'PCMK_logfacility': 'none',
                   'CONTAINERS_CONF': '/mnt/containers.conf'}
        self.space.spawn(
            'unshare', '--uts', '--ipc', 'sh', '-c',
            'hostname "$0" && exec "$@"', self.name, *command,
            log=f'log/{log}', env=environ)

    def boot(self) -> None:
        """Power on, if it is off; the daemons start by themselves.

        Only for the main thread: what a thread starts ends with it.
        """
        with self._lock:
            if not self.on:
                self._boot()

    def _boot(self) -> None:
        for child in self.space.children:
            child.wait(30)
        self.space.children.clear()
        for path in VOLATILE:
            self.space.run('mount', '-t', 'tmpfs', 'volatile', path)
        for path in ('lock', 'resource-agents'):
            (self.space.files.parent / 'run' / path).mkdir()
        self.cluster.switch.link(self.space, True)
        self.off_since = None
        self._start('corosync', '-f', log='corosync.out')
        labs.wait_for(lambda: self.space.run(
            'corosync-quorumtool', '-s', check=False), 'Corosync answers', 30)
        self._start('pacemakerd', log='pacemakerd.out')

    def power_off(self) -> None:
        """No packets, no processes, no memory.

        :raises TimeoutError: a process survives
        """
        with self._lock:
            self._power_off()

    def _power_off(self) -> None:
        self.cluster.switch.link(self.space, False)
        if self.off_since is None:
            self.off_since = time.monotonic()

        def dead() -> bool:
            self.space.signal_all(signal.SIGKILL)
            return not self.space.processes()
        labs.wait_for(dead, f'{self.name} is off', 20)
        self.space.forget_connections()
        mounts = Path(f'/proc/{self.space.pid}/mounts').read_text()
        for line in reversed(mounts.splitlines()):
            path = line.split(' ')[1]
            if path in VOLATILE or path.startswith(BELOW):
                self.space.run('umount', '-l', path, check=False)


class Cluster:
    """Three of them; a context manager that leaves nothing behind.

    :param power: path of the power switch's socket
    :param prepare: called for each server before it is first started
    """

    def __init__(self, power: Path,
                 prepare: Callable[[Any], None] = lambda server: None
                 ) -> None:
        self.switch = spaces.Switch('switch')
        self.nodes: list[Server] = []
        self.power = pacemaker_power.Power(power, self._named)
        self._prepare = prepare

    def _named(self, name: str) -> Server:
        return next(n for n in self.nodes if n.name == name)

    def __enter__(self) -> 'Cluster':
        try:
            self.nodes += [Server(self, number) for number in (1, 2, 3)]
            conf = COROSYNC.format(nodes=''.join(
                NODE.format(node=node) for node in self.nodes))
            key = secrets.token_bytes(256)
            for node in self.nodes:
                node.prepare(conf, key)
                self._prepare(node)
            self.power.start()
            self.joined()
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        self.power.close()
        for node in self.nodes:
            with contextlib.suppress(TimeoutError):
                node.power_off()
            node.space.close()
        self.switch.close()

    # -- its tools -----------------------------------------------------------

    def tool(self, *command: str, deadline: float = 60) -> str:
        """Run one of Pacemaker's tools on a server that is on.

        :raises RuntimeError: it failed, or did not end in time
        """
        node = next((n for n in self.nodes if n.on), self.nodes[0])
        try:
            done = subprocess.run(
                node.space.inside(command), capture_output=True, text=True,
                timeout=deadline, check=False)
        except subprocess.TimeoutExpired as exc:
            raise RuntimeError(f'{command[0]} hangs') from exc
        if done.returncode:
            raise RuntimeError(f'{" ".join(command)}: {done.stderr[-300:]}')
        return done.stdout

    def configure(self, resources: str, **values: str) -> None:
        """Give it options and resources.

        :param resources: CIB section with $NAME of ``values``
        """
        for option, value in OPTIONS.items():
            self.tool('crm_attribute', '--name', option, '--update', value)
        for name, value in DEFAULTS.items():
            self.tool('crm_attribute', '--type', 'rsc_defaults', '--name',
                      name, '--update', value)
        escaped = {name: saxutils.escape(value, {'"': '&quot;'})
                   for name, value in values.items()}
        self.tool('cibadmin', '--replace', '--scope', 'resources',
                  '--xml-text',
                  string.Template(resources).substitute(escaped))

    def state(self) -> pacemaker_state.State:
        """What Pacemaker says; of nothing if it does not answer."""
        try:
            return pacemaker_state.State(self.tool(
                'crm_mon', '-1', '--output-as=xml', deadline=10))
        except (RuntimeError, ValueError):
            return pacemaker_state.State()

    def joined(self) -> None:
        """Have all servers on and in it; :raises TimeoutError:"""
        def check() -> bool:
            for node in self.nodes:
                node.boot()
            found = self.state().online == len(self.nodes)
            if not found:
                time.sleep(0.3)  # each look costs a process
            return found
        labs.wait_for(check, 'all servers are online')

    def clean(self) -> None:
        """Forget failures, and where the platform was sent."""
        self.tool('crm_resource', '--clear', '--resource', 'platform')
        self.tool('crm_resource', '--cleanup')

    def settle(self) -> None:
        """Wait until it has nothing to do; :raises TimeoutError:"""
        try:
            self.tool('crm_resource', '--wait', '--timeout=60', deadline=70)
        except RuntimeError as exc:
            raise TimeoutError(str(exc)) from exc

    def boot_due(self) -> None:
        """Have servers come up that were fenced long enough ago."""
        for node in self.nodes:
            if node.off_since and time.monotonic() > node.off_since + BOOT:
                node.boot()
