# SPDX-License-Identifier: Apache-2.0
"""Tell the stories of the demo on a sandbox, and add them up."""

import argparse
from pathlib import Path
import sys

from devstack.sandbox import __main__ as command_line
from devstack.sandbox.__main__ import Clock
from devstack.sandbox.demo.servers import Servers
from devstack.sandbox.demo.stage import print_rows
from devstack.sandbox.demo.stage import Stage
from devstack.sandbox.demo.volumes import Volumes
from devstack.sandbox.process import SandboxError
from devstack.sandbox.sandbox import Sandbox
from devstack.sandbox.settings import default_state
from devstack.sandbox.settings import Settings

STORIES = {'volumes': Volumes, 'servers': Servers}
_SERVICES = {
    'volumes': 'three Ceph clusters, database, message bus, Keystone and '
               'Cinder',
    'servers': 'Glance, Placement, Nova and libvirt',
}


def _tell(stories: list[str], state: Path, keep: bool) -> int:
    clock = Clock()
    services = [_SERVICES['volumes']]
    parts: frozenset[str] = frozenset()
    if 'servers' in stories:
        services.append(_SERVICES['servers'])
        parts = frozenset({'hypervisor'})
    clock.say(f'starting {"; ".join(services)}')
    sandbox = Sandbox.start(Settings(state, parts=parts), clock.step)
    try:
        stage = Stage(sandbox, clock)
        rows = [row for story in stories
                for row in STORIES[story](stage).tell()]
        clock.say('where everything is, by the images on the clusters')
        good = print_rows(rows)
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


def _stories(text: str) -> list[str]:
    names = [name.strip() for name in text.split(',')]
    for name in names:
        if name not in STORIES:
            raise argparse.ArgumentTypeError(
                f'{name!r} is not one of {", ".join(STORIES)}')
    return names


def main() -> int:
    """Parse the command line and do what it asks."""
    parser = argparse.ArgumentParser(
        prog='tools/demo', description='Place volumes, an image and system '
        'disks by feature tags with a real OpenStack on real Ceph clusters, '
        'boot servers from them, then stop everything. Two other stories: '
        'tools/demo --fence, a node that loses its SAN, and tools/demo '
        '--platform, a container that follows its volume.')
    parser.add_argument('--with', dest='stories', type=_stories,
                        default=list(STORIES), metavar='PART,...',
                        help='tell only this: '
                             f'{", ".join(STORIES)} (default: both)')
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
            return _tell(arguments.stories, arguments.state, arguments.keep)
        {'status': command_line.show_status,
         'stop': command_line.stop,
         'shell': command_line.shell}[arguments.action](arguments)
    except SandboxError as exc:
        print(f'error: {exc}', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
