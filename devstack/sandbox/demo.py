# SPDX-License-Identifier: Apache-2.0
"""The project at work: volumes by feature tags on real Ceph clusters."""

import argparse
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
import json
from pathlib import Path
import subprocess
import sys
from typing import Any

from devstack.sandbox import __main__ as command_line
from devstack.sandbox.__main__ import Clock
from devstack.sandbox.process import SandboxError
from devstack.sandbox.process import wait_until
from devstack.sandbox.sandbox import Sandbox
from devstack.sandbox.settings import default_state
from devstack.sandbox.settings import Settings

_CLIENT_DEADLINE_S = 120
_VOLUME_DEADLINE_S = 120
_EXPRESSION_TYPE = 'fast-db'
_EXPRESSION = 'ssd & db'


@dataclass(frozen=True)
class Wish:
    """A volume that somebody wants.

    :param options: of "openstack volume create".
    :param clusters: where the volume may be; none: it is impossible.
    """

    name: str
    options: tuple[str, ...]
    clusters: frozenset[str]

    @property
    def asked(self) -> str:
        """The request as people would type it."""
        return ' '.join(f"'{word}'" if ' ' in word else word
                        for word in self.options)


def _wish(name: str, *options: str, on: Sequence[str]) -> Wish:
    return Wish(name, options, frozenset(on))


A, B, HDD = 'ceph-ssd-a', 'ceph-ssd-b', 'ceph-hdd'
WISHES = (
    *(_wish(f'ssd-{n}', '--type', 'ssd', on=(A, B)) for n in range(1, 5)),
    _wish('archive', '--type', 'hdd', on=(HDD,)),
    _wish('public', '--type', 'public', on=(A, HDD)),
    _wish('orders-db', '--type', _EXPRESSION_TYPE, on=(A,)),
    _wish('scratch', '--hint', 'feature=ssd & !db', on=(B,)),
    _wish('impossible', '--hint', 'feature=ssd & prod', on=()),
)


class Client:
    """The openstack client, as an administrator of the sandbox runs it."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._program = sandbox.layout.program('openstack')
        self._environ = sandbox.environment()

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, whatever its exit status."""
        return subprocess.run(
            [self._program, *words], env=self._environ, text=True,
            capture_output=True, timeout=_CLIENT_DEADLINE_S, check=False)

    def json(self, *words: str) -> Any:
        """Run a command and return its parsed output.

        :raises SandboxError: the client reported an error.
        """
        done = self.run(*words, '-f', 'json')
        if done.returncode:
            raise SandboxError(
                f'openstack {" ".join(words)}: {done.stderr.strip()}')
        return json.loads(done.stdout)


class Demo:
    """The story, step by step, on a sandbox that runs."""

    def __init__(self, sandbox: Sandbox, clock: Clock) -> None:
        self.sandbox = sandbox
        self.clock = clock
        self.client = Client(sandbox)
        self.cinder = sandbox.connect().block_storage
        self.ids: dict[str, str] = {}

    def tell(self) -> bool:
        """Tell it all; return whether everything came out as promised."""
        self._show_features()
        self._make_type()
        self._create_volumes()
        good = self._show_volumes()
        self._explain()
        return good

    def _show_features(self) -> None:
        def served() -> bool:
            names = {kind.name for kind in self.cinder.types()}
            return {'ssd', 'hdd', 'public', 'db'} <= names

        wait_until(served, _VOLUME_DEADLINE_S,
                   'volume types made from the tags', interval=0.5)
        self.clock.say('volume types have come into being from the tags')
        self._print('volume', 'feature', 'list')

    def _make_type(self) -> None:
        self.clock.say(f'a type of our own with an expression: '
                       f'{_EXPRESSION_TYPE} = {_EXPRESSION}')
        self.client.json(
            'volume', 'type', 'create', _EXPRESSION_TYPE, '--property',
            f'feature:require={_EXPRESSION}')

    def _create_volumes(self) -> None:
        self.clock.say(f'creating {len(WISHES)} volumes with the openstack '
                       f'client')

        def create(wish: Wish) -> None:
            answer = self.client.json('volume', 'create', '--size', '1',
                                      *wish.options, wish.name)
            self.ids[wish.name] = answer['id']
            self.clock.say(f'  openstack volume create --size 1 '
                           f'{wish.asked} {wish.name}')

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(create, WISHES))
        for wish in WISHES:
            wait_until(partial(self._finished, wish), _VOLUME_DEADLINE_S,
                       f'volume {wish.name} made')

    def _finished(self, wish: Wish) -> bool:
        return self._volume(wish).status in ('available', 'error')

    def _volume(self, wish: Wish) -> Any:
        return self.cinder.get_volume(self.ids[wish.name])

    def _show_volumes(self) -> bool:
        self.clock.say('where they are, by the images on the clusters')
        images = self.sandbox.images()
        rows = [('VOLUME', 'ASKED FOR', 'STATUS', 'BACKEND',
                 'RBD IMAGE FOUND ON', 'AS ASKED')]
        verdicts = []
        for wish in WISHES:
            volume = self._volume(wish)
            found = {cluster for cluster, names in images.items()
                     if f'volume-{volume.id}' in names}
            backend = str(volume.host or '').partition('@')[2] \
                .partition('#')[0]
            good = self._as_asked(wish, volume.status, backend, found)
            verdicts.append(good)
            rows.append((wish.name, wish.asked, volume.status,
                         backend or '-', ', '.join(sorted(found)) or '-',
                         ('yes' if wish.clusters else 'yes, refused')
                         if good else 'NO'))
        _print_table(rows)
        print(f'{sum(verdicts)} of {len(verdicts)} as asked', flush=True)
        return all(verdicts)

    @staticmethod
    def _as_asked(wish: Wish, status: str, backend: str,
                  found: set[str]) -> bool:
        if not wish.clusters:
            return status == 'error' and not found
        return (status == 'available' and found == {backend}
                and backend in wish.clusters)

    def _explain(self) -> None:
        self.clock.say('why the last one was refused')
        self._print('volume', 'feature', 'explain', '--fit-width',
                    '--volume', WISHES[-1].name)

    def _print(self, *words: str) -> None:
        print(f'$ openstack {" ".join(words)}', flush=True)
        done = self.client.run(*words)
        print((done.stderr + done.stdout).rstrip(), flush=True)


def _print_table(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print('  '.join(cell.ljust(width) for cell, width
                        in zip(row, widths, strict=True)).rstrip(),
              flush=True)


def _run(state: Path, keep: bool) -> int:
    clock = Clock()
    clock.say('starting three Ceph clusters, database, message bus, '
              'Keystone and Cinder')
    sandbox = Sandbox.start(Settings(state), clock.step)
    try:
        good = Demo(sandbox, clock).tell()
    except BaseException:
        sandbox.stop()
        raise
    if keep:
        sandbox.keep()
        clock.say('it keeps running: tools/demo status | shell | stop')
    else:
        sandbox.stop()
        clock.say('everything is stopped and removed')
    return 0 if good else 1


def main() -> int:
    """Parse the command line and do what it asks."""
    parser = argparse.ArgumentParser(
        prog='tools/demo', description='Place volumes by feature tags with '
        'a real OpenStack on real Ceph clusters, then stop everything.')
    parser.add_argument('--keep', action='store_true',
                        help='leave it running afterwards')
    parser.add_argument('--state', type=Path, default=default_state(),
                        help='directory of the sandbox (default: '
                             '%(default)s)')
    parser.add_argument('action', nargs='?', metavar='status|stop|shell',
                        choices=('run', 'status', 'stop', 'shell'),
                        default='run',
                        help='look at, stop or use what --keep left')
    parser.add_argument('command', nargs='?',
                        help='with shell: run this instead of a prompt')
    arguments = parser.parse_args()
    try:
        if arguments.action == 'run':
            return _run(arguments.state, arguments.keep)
        {'status': command_line.show_status,
         'stop': command_line.stop,
         'shell': command_line.shell}[arguments.action](arguments)
    except SandboxError as exc:
        print(f'error: {exc}', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
