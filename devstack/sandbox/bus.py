# SPDX-License-Identifier: Apache-2.0
"""RabbitMQ, one private node that nobody else's tools can see."""

from collections.abc import Sequence
from pathlib import Path

from devstack.sandbox.layout import Layout
from devstack.sandbox.part import Part
from devstack.sandbox.process import listening
from devstack.sandbox.process import SandboxError
from devstack.sandbox.process import Service

_HOME = Path('/usr/lib/rabbitmq/lib')
_CONF = """\
listeners.tcp.1 = 127.0.0.1:{port}
default_user = openstack
default_pass = {password}
loopback_users = none
log.console = true
log.console.level = warning
log.file = false
vm_memory_high_watermark.absolute = 1GB
disk_free_limit.absolute = 50MB
"""


def _server_script() -> Path:
    # Debian's own /usr/sbin/rabbitmq-server insists on becoming the user
    # rabbitmq; the script below it does not.
    scripts = sorted(_HOME.glob('rabbitmq_server-*/sbin/rabbitmq-server'))
    if not scripts:
        raise SandboxError(f'no rabbitmq-server in {_HOME}: run '
                           f'tools/install')
    return scripts[-1]


class Bus(Part):
    """The RabbitMQ node of a sandbox."""

    name = 'message bus'

    def __init__(self, layout: Layout) -> None:
        super().__init__(layout)
        home = layout.directory('rabbitmq')
        self.node = Service(
            'rabbitmq', layout.directory('log'), [_server_script()],
            layout.guard, self._environment(home))

    def _environment(self, home: Path) -> dict[str, str]:
        port = self.layout.port
        return {
            'HOME': str(home),
            'RABBITMQ_NODENAME': 'rabbit@localhost',
            'RABBITMQ_NODE_IP_ADDRESS': '127.0.0.1',
            'RABBITMQ_NODE_PORT': str(port('bus')),
            'RABBITMQ_DIST_PORT': str(port('bus-distribution')),
            'ERL_EPMD_PORT': str(port('bus-epmd')),
            'ERL_EPMD_ADDRESS': '127.0.0.1',
            'RABBITMQ_MNESIA_BASE': str(home / 'mnesia'),
            'RABBITMQ_LOG_BASE': str(home / 'log'),
            'RABBITMQ_PID_FILE': str(home / 'rabbit.pid'),
            'RABBITMQ_CONF_ENV_FILE': '/dev/null',
            'RABBITMQ_CONFIG_FILE': str(home / 'rabbitmq.conf'),
            'RABBITMQ_ENABLED_PLUGINS_FILE': str(home / 'plugins'),
            # One scheduler that sleeps when idle: others need the CPU.
            'RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS':
                '+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none',
        }

    @property
    def services(self) -> Sequence[Service]:
        return (self.node,)

    def configure(self) -> None:
        self.layout.write('rabbitmq/plugins', '[].\n')
        self.layout.write('rabbitmq/rabbitmq.conf', _CONF.format(
            port=self.layout.port('bus'),
            password=self.layout.password('bus')))

    def start(self) -> None:
        self.node.start()
        self.node.wait_ready(lambda: listening(self.layout.port('bus')))
