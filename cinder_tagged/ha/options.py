# SPDX-License-Identifier: Apache-2.0
"""Options of the agent: what an operator may set, and its help."""

import dataclasses
import socket
from typing import Any

from oslo_config import cfg

from cinder_tagged.ha.core import strategy
from cinder_tagged.ha.core import timing as timings
from cinder_tagged.ha.platform import options as platform

NODE_OPTS = [
    cfg.StrOpt('node', default=socket.gethostname(),
               sample_default='<host name>',
               help='Name of this node; it must be one of [ha] members. '
                    'Give it if the host name is not the name used there.'),
    cfg.ListOpt('members', default=[],
                help='Every node, the same list in the same words on every '
                     'node: NAME=IP, with rack and priority if you use them '
                     'in a strategy: NAME=IP;RACK;PRIORITY. Beats go '
                     'between these IPs. Example: '
                     'c1=10.0.0.11;r1;10,c2=10.0.0.12;r2;5'),
    cfg.PortOpt('port', default=7790,
                help='UDP port of the beats and messages between agents; '
                     'open it in the firewall between the members only.'),
    cfg.StrOpt('peer_key_file', default='/etc/cinder-tagged/ha.key',
               help='File with the key that agents authenticate each other '
                    'by: 32 bytes or more in hexadecimal, one key a line, '
                    'mode 0600 ("openssl rand -hex 32"). The first line '
                    'seals, all lines are accepted: to change the key, add '
                    'the new one below on all nodes, then move it up on '
                    'all, then delete the old one.'),
    cfg.ListOpt('roles', default=['control'],
                help='Roles that are held by one node at a time. Each has a '
                     'section [ha_role_NAME].'),
    cfg.StrOpt('profile', default='default',
               choices=[(name, f'about {t.usual_takeover:.2f} s to take '
                         f'over from a dead node; etcd election timeout '
                         f'{t.etcd_election:g} s or less')
                        for name, t in timings.PROFILES.items()],
               help='Set of timings. Take a faster one only if etcd has '
                    'discs of its own and its election timeout fits.'),
    cfg.IntOpt('council', default=7, min=1, max=31,
               help='Up to that many nodes beat to everybody and decide '
                    'who is dead; in a larger cloud they are spread over '
                    'the racks, and other nodes beat only to them, more '
                    'slowly.'),
    cfg.StrOpt('state_dir', default='/var/lib/cinder-tagged-ha',
               help='Directory for the lock file, the history and the copy '
                    'of replicated data.'),
    cfg.StrOpt('control_socket', default='/run/cinder-tagged-ha/agent.sock',
               help='UNIX socket for the command cinder-tagged-ha. Whoever '
                    'may write to it may move roles; it is made with mode '
                    '0600.'),
    cfg.StrOpt('metrics', default='',
               help='IP:PORT of a Prometheus endpoint, for example '
                    '127.0.0.1:9790; empty for none. It has no '
                    'authentication: keep it on a management address.'),
    cfg.BoolOpt('notify', default=False,
                help='Send oslo.messaging notifications (ha.taken, '
                     'ha.released, ha.refused, ...) over [DEFAULT] '
                     'transport_url. The agent never waits for the bus.'),
]

TIMING_OPTS = [
    cfg.FloatOpt(field.name, help=f'Seconds, instead of those of [ha] '
                 f'profile. {text}')
    for field in dataclasses.fields(timings.Timing)
    for text in [{
        'beat': 'Period of heartbeats.',
        'suspect': 'Silence after which a peer is suspected.',
        'hold': 'How long a confirmed renewal lets a holder keep its '
                'address: the time a takeover costs.',
        'renew': 'Period of renewals, each one a write to etcd.',
        'margin': 'What a taker waits beyond the hold time.',
        'request': 'Deadline of one request to etcd.',
        'stagger': 'Head start of a better placed candidate.',
        'poll_idle': 'Period of reading the record while all is well.',
        'announce': 'Period of gratuitous ARP and neighbour '
                    'advertisements.',
        'switch': 'How long a target that failed a switch-over is avoided.',
        'conflict': 'How long a foreign claim of the address blocks taking.',
        'bury': 'Silence after which a node counts as dead, and the holder '
                'runs its on_peer_death.',
        'drift': 'Not seconds, but the fraction by which the clocks of two '
                 'nodes may run apart.',
        'etcd_election': 'Election timeout that etcd runs with; it is only '
                         'checked against hold.',
    }.get(field.name, '')] if text]

ETCD_OPTS = [
    cfg.ListOpt('endpoints', default=['http://127.0.0.1:2379'],
                help='URL of every member of etcd, three or five. Use https '
                     'outside of tests.'),
    cfg.StrOpt('prefix', default='/cinder-tagged-ha',
               help='Keys of the agents begin with this; another prefix '
                    'makes another, independent cloud.'),
    cfg.StrOpt('ca_file', help='CA that signed the certificates of etcd.'),
    cfg.StrOpt('cert_file', help='Client certificate for etcd.'),
    cfg.StrOpt('key_file', help='Private key of the client certificate.'),
    cfg.StrOpt('user', default='',
               help='User of etcd; it needs read and write access to the '
                    'prefix only.'),
    cfg.StrOpt('password_file', default='',
               help='File with the password of that user, mode 0600.'),
]

PROBE_OPTS = [
    cfg.ListOpt('services', default=[],
                help='What has to be sound on a node that may control: '
                     'tcp:HOST:PORT, http://..., pid:FILE (alive and not '
                     'stopped), unit:NAME (systemd). A fault makes a '
                     'holder pass its roles on.'),
    cfg.FloatOpt('period', default=1.0, min=0.05,
                 help='Seconds between two probes of one service.'),
    cfg.FloatOpt('deadline', default=1.0, min=0.01,
                 help='Seconds after which a probe has failed.'),
    cfg.IntOpt('fall', default=2, min=1,
               help='Failures in a row that make a fault.'),
    cfg.StrOpt('ceph_conf', default='',
               help='ceph.conf of the cluster whose RBD client is probed by '
                    'a small write; empty for no such probe.'),
    cfg.StrOpt('ceph_user', default='cinder', help='Ceph user of the probe.'),
    cfg.StrOpt('ceph_pool', default='volumes',
               help='Pool that the probe writes its one object to.'),
]

DATA_OPTS = [
    cfg.ListOpt('files', default=[],
                help='Absolute paths of files that the controlling node of '
                     'the first role hands to all others, at most 512 KiB '
                     'each.'),
    cfg.FloatOpt('period', default=2.0, min=0.1,
                 help='Seconds between two looks for changes.'),
]

ROLE_OPTS = [
    cfg.ListOpt('addresses', default=[],
                help='Access address of the role with its prefix length, '
                     'IPv4, IPv6 or one of each: 10.0.0.100/24,fd00::100/64. '
                     'No other software may set it.'),
    cfg.StrOpt('interface', help='NIC that carries the address.'),
    cfg.StrOpt('strategy', default='priority',
               choices=sorted(strategy.STRATEGIES),
               help='Which controlled node takes the role first.'),
    cfg.ListOpt('resources', default=[],
                help='Services that run with the role, started in this '
                     'order and stopped in the opposite one. Each has a '
                     'section [ha_resource_NAME].'),
    cfg.ListOpt('dropins', default=[],
                help='TEMPLATE=DESTINATION pairs: files that must point at '
                     'the controlling node, written on every node when '
                     'control moves. $holder, $holder_ip, $address, $role '
                     'and $epoch are replaced.'),
    cfg.MultiStrOpt('reload', default=[],
                    help='Command to run after the drop-ins were written '
                         '(no shell); may be given more than once.'),
    cfg.FloatOpt('reload_deadline', default=30.0,
                 help='Seconds after which a reload command is killed.'),
    cfg.StrOpt('on_peer_death', default='',
               help='Command that the controlling node runs once for each '
                    'node that died (no shell); {node} is its name. Most of '
                    'the council must have missed it for [ha_timing] bury '
                    'seconds; an agent that was stopped is not dead. '
                    'Example: cinder-tagged-resume takeover --host {node}. '
                    'It may run again for the same death after control has '
                    'moved, so it must bear that. Empty for none.'),
    cfg.FloatOpt('on_peer_death_deadline', default=60.0, min=0.1,
                 help='Seconds after which that command is killed.'),
]

RESOURCE_OPTS = [
    cfg.StrOpt('type', default='command',
               choices=['command', 'unit', 'process', 'platform'],
               help='command: start, stop and status are commands. unit: a '
                    'systemd unit. process: start is a program that the '
                    'agent runs and ends. platform: a container with its '
                    'volume, described in [ha_platform_NAME].'),
    cfg.StrOpt('start', default='',
               help='Command that starts it. CINDER_TAGGED_HA_EPOCH, _ROLE '
                    'and _ADDRESS are in its environment (write $$ for $).'),
    cfg.StrOpt('stop', default='', help='Command that stops it.'),
    cfg.StrOpt('status', default='',
               help='Command that exits 0 if it runs.'),
    cfg.StrOpt('unit', default='', help='Name of the systemd unit.'),
    cfg.FloatOpt('deadline', default=30.0,
                 help='Seconds for each of start, stop and status.'),
]


def list_opts() -> list[tuple[str, list[Any]]]:
    """Options for the sample generator; roles and resources as examples."""
    return [('ha', NODE_OPTS), ('ha_timing', TIMING_OPTS),
            ('ha_etcd', ETCD_OPTS), ('ha_probes', PROBE_OPTS),
            ('ha_data', DATA_OPTS), ('ha_role_control', ROLE_OPTS),
            ('ha_resource_example', RESOURCE_OPTS),
            (platform.group('example'), platform.OPTS)]


def register(conf: Any) -> None:
    """Register all groups, those of the named roles and resources too."""
    for group, opts in (('ha', NODE_OPTS), ('ha_timing', TIMING_OPTS),
                        ('ha_etcd', ETCD_OPTS), ('ha_probes', PROBE_OPTS),
                        ('ha_data', DATA_OPTS)):
        conf.register_opts(opts, group=group)
    for role in conf.ha.roles:
        conf.register_opts(ROLE_OPTS, group=f'ha_role_{role}')
        for name in conf[f'ha_role_{role}'].resources:
            conf.register_opts(RESOURCE_OPTS, group=f'ha_resource_{name}')
            if conf[f'ha_resource_{name}'].type == 'platform':
                platform.register(conf, name)


def read_all(conf: Any) -> None:
    """Read every option once; :raises oslo_config.cfg.Error: if one is bad.

    oslo.config checks a value only when it is read.
    """
    groups: dict[str, list[Any]] = {
        'ha': NODE_OPTS, 'ha_timing': TIMING_OPTS, 'ha_etcd': ETCD_OPTS,
        'ha_probes': PROBE_OPTS, 'ha_data': DATA_OPTS}
    for role in conf.ha.roles:
        groups[f'ha_role_{role}'] = ROLE_OPTS
        for name in conf[f'ha_role_{role}'].resources:
            groups[f'ha_resource_{name}'] = RESOURCE_OPTS
            if conf[f'ha_resource_{name}'].type == 'platform':
                groups[platform.group(name)] = platform.OPTS
    for group, opts in groups.items():
        for opt in opts:
            try:
                conf[group][opt.dest]
            except cfg.Error as exc:
                raise cfg.ConfigFileValueError(
                    f'[{group}] {opt.dest}: {exc}') from exc
