# SPDX-License-Identifier: Apache-2.0
"""Options of a platform, in the section of its resource's name."""

from collections.abc import Iterator
import socket
from typing import Any

from oslo_config import cfg

from cinder_tagged.ha.platform.core import lease

OPTS = [
    cfg.StrOpt('image', default='',
               help='Container image, as the container software names it '
                    'after "cinder-tagged-platform install". It is never '
                    'pulled: every server must have it.'),
    cfg.StrOpt('digest', default='',
               help='Identity of the image (sha256:..., printed by install): '
                    'a server whose image has another one does not start '
                    'it. Empty: not compared.'),
    cfg.StrOpt('ceph_conf', default='/etc/ceph/ceph.conf',
               help='Configuration file of the cluster that has the volume.'),
    cfg.StrOpt('ceph_user', default='cinder',
               help='Ceph user, without "client."; it needs the monitor '
                    'profile rbd (to fence) and to write to the pool.'),
    cfg.StrOpt('pool', default='volumes', help='Pool of the volume.'),
    cfg.StrOpt('volume', default='',
               help='Name of the RBD image that has all data. Empty: the one '
                    'that "cinder-tagged-platform volume" had Cinder make; '
                    'its name is kept in the pool, so that no server asks '
                    'Cinder at a start.'),
    cfg.IntOpt('size', default=0, min=0,
               help='GiB. If above 0, an RBD image that is missing is made, '
                    'unless it was used before. 0: it must exist.'),
    cfg.StrOpt('mapper', default='krbd',
               choices=[('krbd', 'the kernel client; "rbd map"'),
                        ('nbd', 'rbd-nbd: the user space library, through '
                                'the module nbd'),
                        ('fuse', 'rbd-fuse and a loop device: slow, but '
                                 'works on any kernel')],
               help='How the volume becomes a block device.'),
    cfg.StrOpt('mountpoint', default='',
               help='Where the volume is mounted on the server. Empty: '
                    '/var/lib/cinder-tagged-platform/NAME.'),
    cfg.StrOpt('data_dir', default='/data',
               help='Where the container sees it.'),
    cfg.StrOpt('fsck', default='preen',
               choices=[('preen', 'repair what is safe; anything else waits '
                                  'for an operator'),
                        ('repair', 'answer yes to every repair: available '
                                   'sooner, may lose files')],
               help='What becomes of a file system with errors.'),
    cfg.StrOpt('container_command', default='podman',
               help='The container software.'),
    cfg.ListOpt('container_options', default=[],
                help='Global options for it, such as --runtime,runc.'),
    cfg.ListOpt('run_options', default=[],
                help='More options for "run", such as --memory=2g.'),
    cfg.StrOpt('network', default='host',
               help='Network of the container. With host, it is reached at '
                    'the address of the role.'),
    cfg.ListOpt('ports', default=[],
                help='Published ports (HOST:CONTAINER); not with host.'),
    cfg.ListOpt('environment', default=[],
                help='NAME=VALUE pairs for the container. No secrets: they '
                     'show in process lists.'),
    cfg.StrOpt('environment_file', default='',
               help='File of NAME=VALUE lines, mode 0600, for secrets.'),
    cfg.ListOpt('command', default=[],
                help='Command in the container, if not that of the image.'),
    cfg.StrOpt('health', default='',
               help='tcp:HOST:PORT or http://...: when it fails health_fall '
                    'times in a row, the container is restarted.'),
    cfg.IntOpt('health_fall', default=5, min=1,
               help='Failures in a row before a restart.'),
    cfg.FloatOpt('health_grace', default=60.0, min=0,
                 help='Seconds after a start in which health is not judged.'),
    cfg.FloatOpt('period', default=2.0, min=0.1,
                 help='Seconds between two checks of the block storage.'),
    cfg.FloatOpt('deadline', default=15.0, min=1.0,
                 help='Seconds that one check (write, read, record) may take '
                      'before the storage counts as lost and the container '
                      'is stopped. Keep it above what a dying OSD costs.'),
    cfg.FloatOpt('kill_deadline', default=5.0, min=0.5,
                 help='Seconds within which a container and its device are '
                      'gone once they are killed. A take-over from a dead '
                      'server waits that long; lower it if your container '
                      'is small and ends at once.'),
    cfg.FloatOpt('stop_deadline', default=20.0, min=0.5,
                 help='Seconds that the container may take to end when asked '
                      'to, before it is killed.'),
    cfg.FloatOpt('start_deadline', default=60.0, min=1.0,
                 help='Seconds for starting the container, and for mapping '
                      'and mounting the volume.'),
    cfg.FloatOpt('fsck_deadline', default=1800.0, min=1.0,
                 help='Seconds for checking or making the file system.'),
    cfg.FloatOpt('agent_deadline', default=1.0, min=0.5,
                 help='Seconds for which the keeper goes on as master after '
                      'the end of the authority that its agent told it last '
                      '(hold in [ha_timing], from the last renewal). Room '
                      'for a busy server, and for an etcd that does not '
                      'answer for a moment; a take-over from a dead server '
                      'waits that long, too.'),
    cfg.FloatOpt('handover', default=1.0, min=0.1,
                 help='Seconds that a server which is not master any more '
                      'has to get "stopping" into the record, and its '
                      'successor waits for that. One that does not get it '
                      'there kills its container at once.'),
    cfg.FloatOpt('first_pause', default=1.0, min=0.1,
                 help='Seconds of pause after a first failure; doubled with '
                      'each further one.'),
    cfg.FloatOpt('longest_pause', default=60.0, min=0.1,
                 help='Longest pause.'),
    cfg.IntOpt('blocklist', default=2592000, min=600,
               help='Seconds for which a former owner stays fenced. Longer '
                    'than any machine may stand still and come back.'),
    cfg.StrOpt('state_dir', default='/var/lib/cinder-tagged-platform',
               help='Directory for what this server knows of its platform.'),
]


def group(name: str) -> str:
    """The section of the platform that is the resource of this name."""
    return f'ha_platform_{name}'


def register(conf: Any, name: str) -> None:
    conf.register_opts(OPTS, group=group(name))


def terms(section: Any, hold: float) -> lease.Terms:
    """Lengths of time of the platform; ``hold`` is the agent's, s."""
    return lease.Terms(
        hold, section.agent_deadline, section.handover,
        section.stop_deadline, section.kill_deadline)


def problems(conf: Any, name: str) -> Iterator[str]:
    """Yield what is wrong, one sentence each, with its remedy."""
    section, where = conf[group(name)], f'[{group(name)}]'
    if not section.image:
        yield f'{where} image is empty: name the container image'
    if section.digest and not section.digest.startswith('sha256:'):
        yield (f'{where} digest = {section.digest}: write sha256:... as '
               '"cinder-tagged-platform install" prints it')
    if section.ports and section.network == 'host':
        yield (f'{where} ports: with network = host nothing is published; '
               'drop ports, or set another network')
    for pair in section.environment:
        if '=' not in pair:
            yield f'{where} environment: {pair!r} is not NAME=VALUE'
    if section.longest_pause < section.first_pause:
        yield (f'{where} longest_pause is below first_pause: raise it to '
               f'{section.first_pause:g} or more')


def node(conf: Any) -> str:
    return str(conf.ha.node or socket.gethostname())
