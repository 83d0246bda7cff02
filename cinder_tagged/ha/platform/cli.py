# SPDX-License-Identifier: Apache-2.0
"""The command cinder-tagged-platform."""

import argparse
from collections.abc import Sequence
import json
from pathlib import Path
import shutil
import sys
import time
from typing import Any

from oslo_config import cfg
from oslo_log import log as logging

from cinder_tagged.ha import options as agent_options
from cinder_tagged.ha import settings
from cinder_tagged.ha.platform import cinder
from cinder_tagged.ha.platform import exceptions
from cinder_tagged.ha.platform import keeper
from cinder_tagged.ha.platform import options
from cinder_tagged.ha.platform.adapters import container
from cinder_tagged.ha.platform.adapters import pool as pools

DEFAULT_FILE = '/etc/cinder-tagged/ha.conf'
#: Tools of each way of mapping.
_TOOLS = {'krbd': ('rbd',), 'nbd': ('rbd', 'rbd-nbd'),
          'fuse': ('rbd-fuse', 'losetup')}


def load(paths: Sequence[str]) -> Any:
    """Read the agent's configuration; :raises BadConfig:."""
    conf = cfg.ConfigOpts()
    logging.register_options(conf)
    try:
        conf([], project='cinder-tagged-platform',
             default_config_files=list(paths))
        agent_options.register(conf)
        agent_options.read_all(conf)
    except cfg.Error as exc:
        raise settings.BadConfig(f'{", ".join(paths)}: {exc}') from exc
    return conf


def platforms(conf: Any) -> list[str]:
    """Names of the resources that are platforms."""
    return [name for role in conf.ha.roles
            for name in conf[f'ha_role_{role}'].resources
            if conf[f'ha_resource_{name}'].type == 'platform']


class Command:
    """One call about one platform."""

    def __init__(self, conf: Any, name: str) -> None:
        self.conf, self.name = conf, name
        self.section = conf[options.group(name)]

    def _podman(self) -> container.Podman:
        return container.Podman(self.name, self.section, Path('/'),
                                Path('/'))

    def _pool(self) -> pools.Pool:
        own = self.section
        return pools.Pool(own.ceph_conf, own.ceph_user, own.pool, self.name,
                          min(own.deadline, 15))

    def install(self, archive: str) -> int:
        """Load the image from a tar; say, and compare, its digest."""
        own, podman = self.section, self._podman()
        loaded = podman.load(archive)
        found = podman.digest(loaded)
        print(f'loaded {loaded}\ndigest {found}')
        if loaded != own.image:
            raise exceptions.PlatformError(
                f'the archive holds {loaded}, but [{options.group(self.name)}'
                f'] image = {own.image}: set it to {loaded}, or load another '
                'archive')
        if own.digest and own.digest != found:
            raise exceptions.PlatformError(
                f'the digest is not [{options.group(self.name)}] digest = '
                f'{own.digest}: load the right archive on every server, or '
                'set the digest on every server')
        if not own.digest:
            print(f'set [{options.group(self.name)}] digest = {found} on '
                  'every server')
        return 0

    def check(self) -> int:
        """Check configuration, tools, image and storage of this server."""
        found = list(options.problems(self.conf, self.name))
        tools = (self.section.container_command, 'blkid', 'e2fsck',
                 'mkfs.ext4', *_TOOLS[self.section.mapper])
        found += [f'{tool} is not installed' for tool in tools
                  if shutil.which(tool) is None]
        if not found:
            state = self._podman().image().value
            if state != 'right':
                found.append(f'image {self.section.image} is {state} on this '
                             'server: cinder-tagged-platform install')
            pool = self._pool()
            try:
                pool.check(f'check-{options.node(self.conf)}',
                           {'time': time.time(), 'check': True})
                if not (self.section.volume or pool.volume()):
                    found.append('no volume is named: set volume, or '
                                 '"cinder-tagged-platform volume"')
            except exceptions.PlatformError as exc:
                found.append(str(exc))
            finally:
                pool.close()
        for text in found:
            print(f'error: {text}', file=sys.stderr)
        if not found:
            terms = options.terms(self.section,
                                  settings.timing(self.conf).hold)
            print('Sound. A take-over from a dead server waits '
                  f'{terms.settle:.1f} s before it starts the container.')
        return 1 if found else 0

    def status(self, as_json: bool) -> int:
        """Show the record and what every server reports."""
        pool = self._pool()
        try:
            raw, _ = pool.read()
            reports = {k: v for k, v in pool.reports().items()
                       if not v.get('check')}
        finally:
            pool.close()
        owner = json.loads(raw) if raw else {}
        if as_json:
            print(json.dumps({'record': owner, 'servers': reports},
                             indent=2, sort_keys=True))
            return 0
        print(f'platform {self.name}: owner {owner.get("node") or "nobody"}, '
              f'epoch {owner.get("epoch", 0)}, {owner.get("stage", "new")}')
        for node, seen in sorted(reports.items()):
            age = time.time() - seen.get('time', 0)
            print(f'  {node:16} {seen.get("role", "?"):7} '
                  f'container {seen.get("container", "?")}, image '
                  f'{seen.get("image", "?")}, {age:.0f} s ago: '
                  + (seen.get('problem') or seen.get('message', '?')))
        return 0

    def volume(self, arguments: Any) -> int:
        """Have Cinder make the volume, and keep its name in the pool."""
        pool_name, image = self._allot(arguments)
        where = f'[{options.group(self.name)}]'
        if pool_name != self.section.pool:
            raise exceptions.PlatformError(
                f'Cinder made the volume in pool {pool_name}: set {where} '
                f'pool = {pool_name}')
        pool = self._pool()
        try:
            # Pools of several clusters often have one name.
            if not pool.has(image):
                raise exceptions.PlatformError(
                    f'{pool_name}/{image} is not in the cluster of '
                    f'{self.section.ceph_conf}: type {arguments.type} leads '
                    f'to another one; set {where} ceph_conf to that of its '
                    'back end ("openstack volume show", host)')
            pool.keep_volume(image)
        finally:
            pool.close()
        print(f'volume {pool_name}/{image}')
        return 0

    def _allot(self, arguments: Any) -> tuple[str, str]:
        import keystoneauth1.exceptions
        import openstack
        try:
            cloud = openstack.connect(cloud=arguments.os_cloud)
            return cinder.allot(cloud, self.name, arguments.size,
                                arguments.type, 300)
        except (openstack.exceptions.SDKException,
                keystoneauth1.exceptions.ClientException) as exc:
            raise exceptions.PlatformError(
                f'Cinder did not allot the volume: {exc}') from exc

    def keep(self) -> int:
        """Be the keeper; the agent starts it."""
        logging.setup(self.conf, 'cinder-tagged-platform')
        keeper.make(self.conf, self.name).run()
        return 0


def parser() -> argparse.ArgumentParser:
    """The command's grammar."""
    top = argparse.ArgumentParser(
        prog='cinder-tagged-platform', description='A container that runs '
        'on one server at a time, with its data on a volume that follows.')
    top.add_argument('--config-file', action='append', default=[])
    verbs = top.add_subparsers(dest='verb', required=True)

    def verb(name: str, text: str) -> argparse.ArgumentParser:
        sub = verbs.add_parser(name, help=text, description=text)
        return sub
    install = verb('install', 'load the image on this server')
    install.add_argument('archive', metavar='IMAGE.tar')
    verb('check', 'check this server')
    status = verb('status', 'the owner, and what every server reports')
    status.add_argument('--json', action='store_true')
    volume = verb('volume', 'have Cinder make the volume')
    volume.add_argument('--size', type=int, required=True, metavar='GIB')
    volume.add_argument('--type', required=True,
                        help='volume type: the feature tag')
    volume.add_argument('--os-cloud', help='name in clouds.yaml')
    verb('keep', 'the agent runs this')
    for sub in verbs.choices.values():
        sub.add_argument('name', nargs='?', metavar='PLATFORM',
                         help='needed if there are several')
    return top


def run(arguments: Any) -> int:
    """Carry out one command."""
    conf = load(arguments.config_file or [DEFAULT_FILE])
    names = platforms(conf)
    name = arguments.name or (names[0] if len(names) == 1 else '')
    if name not in names:
        raise settings.BadConfig(
            f'there is no platform {name!r}; there are: '
            + (', '.join(names) or 'none: a resource with type = platform '
               'in a role makes one'))
    command = Command(conf, name)
    if arguments.verb == 'install':
        return command.install(arguments.archive)
    if arguments.verb == 'status':
        return command.status(arguments.json)
    if arguments.verb == 'volume':
        return command.volume(arguments)
    return command.keep() if arguments.verb == 'keep' else command.check()


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; 1 on failure, with one clear error."""
    try:
        return run(parser().parse_args(argv))
    except (settings.BadConfig, exceptions.PlatformError,
            OSError) as exc:
        for line in str(exc).splitlines():
            print(f'error: {line}', file=sys.stderr)
        return 1


if __name__ == '__main__':
    sys.exit(main())
