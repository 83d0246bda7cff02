# SPDX-License-Identifier: Apache-2.0
"""Start, look at and stop sandboxes: python -m devstack.sandbox --help."""

import argparse
import os
from pathlib import Path
import signal
import sys
import time

from devstack.sandbox.ceph import CephCluster
from devstack.sandbox.ceph import start_all
from devstack.sandbox.process import SandboxError
from devstack.sandbox.sandbox import Sandbox
from devstack.sandbox.settings import default_state
from devstack.sandbox.settings import OPTIONAL_PARTS
from devstack.sandbox.settings import Settings


class Clock:
    """Print steps with the time since the start in front."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def say(self, text: str) -> None:
        """Print one line."""
        print(f'[{time.monotonic() - self._began:6.1f} s] {text}',
              flush=True)

    def step(self, name: str, seconds: float) -> None:
        """Report a finished step."""
        self.say(f'{name} ({seconds:.1f} s)')


def _wait_for_end() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print('Ctrl-C stops it', flush=True)
    try:
        signal.pause()
    except KeyboardInterrupt:
        print('stopping', flush=True)


def start(arguments: argparse.Namespace) -> None:
    """Start a sandbox, and keep it or wait for Ctrl-C."""
    clock = Clock()
    settings = Settings(
        arguments.state, stock=arguments.stock,
        schedulers=arguments.schedulers,
        parts=frozenset(filter(None, arguments.parts.split(','))))
    sandbox = Sandbox.start(settings, clock.step)
    if arguments.keep:
        sandbox.keep()
        clock.say(f'running in {sandbox.layout.state}')
        return
    with sandbox:
        clock.say(f'running in {sandbox.layout.state}')
        _wait_for_end()


def stop(arguments: argparse.Namespace) -> None:
    """Stop a kept sandbox."""
    Sandbox.attach(arguments.state).stop()


def _resident_mib(pid: int) -> int:
    pages = int(Path(f'/proc/{pid}/statm').read_text().split()[1])
    return pages * os.sysconf('SC_PAGE_SIZE') // 2 ** 20


def show_status(arguments: argparse.Namespace) -> None:
    """Print what runs in a sandbox."""
    sandbox = Sandbox.attach(arguments.state)
    for part in sandbox.parts:
        for service in part.services:
            pid = service.pid
            state = f'up, pid {pid}, {_resident_mib(pid)} MiB' if pid \
                else 'DOWN'
            where = f'{part.name}: ' if part.name in sandbox.clusters else ''
            print(f'{where + service.name:32} {state}')
    for name, cluster in sandbox.clusters.items():
        health = cluster.health() if cluster.mon.alive else 'no monitor'
        print(f'{name:32} {health}, fsid {cluster.fsid}')
    print(f'{"logs":32} {sandbox.layout.state / "log"}')


def shell(arguments: argparse.Namespace) -> None:
    """Become a shell with credentials for a sandbox."""
    sandbox = Sandbox.attach(arguments.state)
    program = os.environ.get('SHELL', '/bin/bash')
    environ = sandbox.environment() | {'PS1': r'(sandbox) \w\$ '}
    command = [program, '-c', arguments.command] if arguments.command \
        else [program]
    os.execvpe(program, command, environ)


def _ceph(arguments: argparse.Namespace) -> None:
    clock = Clock()
    clusters = [CephCluster(name=name) for name in arguments.name]
    start_all(clusters)
    try:
        for cluster in clusters:
            clock.say(f'{cluster.name}: fsid {cluster.fsid}, '
                      f'ceph -c {cluster.conf} -s')
        _wait_for_end()
    finally:
        for cluster in clusters:
            cluster.stop()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='python -m devstack.sandbox')
    parser.add_argument(
        '--state', type=Path, default=default_state(),
        help='directory of the sandbox (default: %(default)s)')
    commands = parser.add_subparsers(required=True, metavar='COMMAND')
    starter = commands.add_parser('start', help='start a sandbox')
    starter.add_argument('--keep', action='store_true',
                       help='leave it running in the background')
    starter.add_argument('--stock', action='store_true',
                       help="Cinder's own driver, filters and weighers")
    starter.add_argument('--schedulers', type=int, default=1, metavar='N')
    starter.add_argument('--with', dest='parts', default='', metavar='PARTS',
                       help=f'comma-separated: {", ".join(OPTIONAL_PARTS)}')
    starter.set_defaults(run=start)
    for name, function, text in (
            ('status', show_status, 'what runs, and how much memory it has'),
            ('stop', stop, 'stop a kept sandbox and remove its files'),
            ('shell', shell, 'a shell with credentials for it')):
        command = commands.add_parser(name, help=text)
        command.set_defaults(run=function)
        if name == 'shell':
            command.add_argument('command', nargs='?',
                                 help='run this instead of a prompt')
    ceph = commands.add_parser('ceph', help='Ceph clusters alone')
    ceph.add_argument('name', nargs='*', default=['ceph'])
    ceph.set_defaults(run=_ceph)
    return parser


def main() -> int:
    """Parse the command line and do what it asks."""
    arguments = _parser().parse_args()
    try:
        arguments.run(arguments)
    except (SandboxError, ValueError) as exc:
        print(f'error: {exc}', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
