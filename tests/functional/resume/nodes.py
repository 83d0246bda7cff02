# SPDX-License-Identifier: Apache-2.0
"""Three storage nodes behind one address, each a machine of its own.

A node is a network namespace with an HA agent, a member of etcd, Cinder's
API, a scheduler and the volume services. Ceph, the database, the bus, Keystone
and Glance stay where the sandbox runs; what a node says to them (the database
has a socket) goes over the switch, where it can be cut.
"""

from collections.abc import Iterable
import contextlib
import shlex
import signal
import sys
from typing import Any

from devstack.sandbox.cinder import HOST
from devstack.sandbox.process import Service
from devstack.sandbox.wsgi import wsgi_command
from tests.functional.ha import lab
from tests.functional.ha import spaces

_API_PORT = 8776
_INSIDE = 'nsenter'
_UPLINK = '10.77.0.254'
#: Longer than a takeover, shorter than a client's patience.
_ANSWER_S = 15


class StorageNodes(lab.Lab):
    """The nodes of a sandbox that has three of each of Cinder's daemons."""

    def __init__(self, sandbox: Any) -> None:
        self.sandbox = sandbox
        conf = sandbox.layout.state / 'cinder' / 'cinder.conf'
        hook = shlex.join([
            sys.executable, '-m', 'cinder_tagged.resume.cli',
            '--config-file', str(conf), 'takeover', '--host',
            f'{HOST}-{{node}}', '--wait', '30'])
        cluster = next(iter(sandbox.clusters.values()))
        super().__init__(
            'default', 3, role_options=f'on_peer_death = {hook}\n',
            extra=('[ha_probes]\n'
                   f'services = http://127.0.0.1:{_API_PORT}/,'
                   f'tcp:127.0.0.1:{sandbox.layout.port("bus")}\n'
                   f'ceph_conf = {cluster.conf}\n'
                   'period = 0.5\ndeadline = 3\nfall = 2\n'),
            prepare=self._serve)
        self._conf = conf
        self._uplink = spaces.Uplink(self.switch, _UPLINK)

    def close(self) -> None:
        self._uplink.close()
        super().close()

    def connect(self) -> Any:
        """Return a connection whose requests go to the address."""
        return self.sandbox.connect(
            'admin', api_timeout=_ANSWER_S, block_storage_endpoint_override=(
                f'http://{lab.ADDRESS}:{_API_PORT}/v3'))

    # -- one node -------------------------------------------------------------

    @staticmethod
    def host(node: lab.Node) -> str:
        """Return the name of a node's services."""
        return f'{HOST}-{node.name}'

    def daemons(self, node: lab.Node) -> list[Service]:
        """Return a node's scheduler and volume service."""
        return [self.sandbox.cinder_schedulers.services[node.number - 1],
                self.sandbox.cinder_volume.nodes[self.host(node)]]

    def _serve(self, node: lab.Node) -> None:
        """Move a node's daemons into its namespace."""
        # By one name the agents' command means all that died with a node.
        self.sandbox.layout.write_conf(
            f'cinder/scheduler-{node.number}.conf',
            {'DEFAULT': {'host': self.host(node)}})
        for service in self.daemons(node):
            service.stop()
        self._start(node)

    def _start(self, node: lab.Node) -> None:
        self._uplink.reach_from(node.space, str(_API_PORT))
        self.revive(node)
        node.api = node.space.spawn(
            *wsgi_command(f':{_API_PORT}', 'cinder.wsgi.api:application',
                          arguments=f'--config-file {self._conf}', threads=8),
            log='api.log', cwd=self.sandbox.layout.state,
            env={**lab.environment(), **self.sandbox.layout.environment(),
                 'OS_CINDER_DISABLE_EVENTLET_PATCHING': '1'})

    def revive(self, node: lab.Node) -> None:
        """Start those daemons of a node that have ended."""
        for service in self.daemons(node):
            if service.argv[0] != _INSIDE:
                service.argv = node.space.inside(service.argv)
            service.start()

    def die(self, node: lab.Node) -> None:
        """The power of a node fails."""
        node.die()
        node.space.signal_all(signal.SIGKILL)

    def boot(self, node: lab.Node) -> None:
        """Power on again."""
        node.boot()
        self._start(node)

    def freeze(self, node: lab.Node) -> None:
        """Stop whatever runs on a node, in the middle of it."""
        node.space.signal_all(signal.SIGSTOP)

    def thaw(self, node: lab.Node) -> None:
        """Let it go on, as if no time had passed."""
        node.space.signal_all(signal.SIGCONT)

    @contextlib.contextmanager
    def cut_off(self, node: lab.Node, ports: Iterable[int]) -> Any:
        """Drop, silently, what a node sends to ports of the sandbox."""
        self.switch.cut([node.name], [self._uplink.name],
                        f'tcp dport {{ {", ".join(map(str, ports))} }}')
        try:
            yield
        finally:
            self.switch.heal()
