# SPDX-License-Identifier: Apache-2.0
"""The command cinder-tagged-ha."""

import argparse
import sys
from typing import Any

from oslo_config import cfg
from oslo_log import log as logging

from cinder_tagged.ha import agent as agents
from cinder_tagged.ha import control
from cinder_tagged.ha import options
from cinder_tagged.ha import settings
from cinder_tagged.ha import status as statuses
from cinder_tagged.ha.adapters import datasync
from cinder_tagged.ha.adapters import etcd
from cinder_tagged.ha.adapters import history
from cinder_tagged.ha.adapters import kernel

DEFAULT_FILE = '/etc/cinder-tagged/ha.conf'


def load(path: str) -> Any:
    """Read a configuration file; :raises BadConfig: if it cannot work."""
    conf = cfg.ConfigOpts()
    logging.register_options(conf)
    try:
        conf([], project='cinder-tagged-ha', default_config_files=[path])
        options.register(conf)
        options.read_all(conf)
    except cfg.Error as exc:
        raise settings.BadConfig(f'{path}: {exc}') from exc
    return conf


def check(conf: Any) -> int:
    """Say what is wrong, or how fast a takeover is."""
    found = list(settings.problems(conf))
    for text in found:
        print(f'error: {text}', file=sys.stderr)
    if found:
        return 1
    timing = settings.timing(conf)
    print(f'Sound. Takeover from a dead node: usually '
          f'{timing.usual_takeover:.2f} s, at worst '
          f'{timing.worst_takeover:.2f} s with a sound etcd.')
    return 0


def serve(conf: Any) -> int:
    """Run the agent until SIGTERM."""
    found = list(settings.problems(conf))
    if found:
        raise settings.BadConfig('\n'.join(found))
    logging.setup(conf, 'cinder-tagged-ha')
    agent = agents.Agent(conf)
    socket = control.Control(agent)
    control.serve_metrics(agent, socket)
    if conf.ha.notify:
        agent.history.attach(history.bus(conf, conf.ha.node))
    datasync.Mirror(agent).start()
    agents.handle_signals(agent)
    try:
        agent.run()
    finally:
        socket.close()
    return 0


def show_status(status: dict[str, Any]) -> None:
    """Print the status for people."""
    print(f'node {status["node"]}: '
          + ('may control' if status['eligible'] else
             f'cannot control ({status["why"]})')
          + f', etcd {status["etcd"]}')
    for name, state in status['members'].items():
        print(f'  {name:16} {state}')
    for name, role in status['roles'].items():
        print(f'role {name}: held by {role["holder"] or "nobody"}, epoch '
              f'{role["epoch"]}, address {role["address"]}'
              + (', open here' if role['open'] else '')
              + (f', CONFLICT with {role["conflict"]}'
                 if role['conflict'] else ''))


def parser() -> argparse.ArgumentParser:
    """The command's grammar."""
    top = argparse.ArgumentParser(
        prog='cinder-tagged-ha', description='Control role and access '
        'address that move between nodes, never held twice.')
    top.add_argument('--config-file', default=DEFAULT_FILE)
    verbs = top.add_subparsers(dest='verb', required=True)
    verbs.add_parser('agent', help='run the agent (systemd does)')
    verbs.add_parser('check-config', help='check it; print takeover times')
    for verb, text in (('status', 'what this node sees and holds'),
                       ('standby', 'pass roles on, and take none'),
                       ('resume', 'take roles again')):
        sub = verbs.add_parser(verb, help=text)
        sub.add_argument('--json', action='store_true')
    past = verbs.add_parser('history', help='decisions and their reasons')
    past.add_argument('--json', action='store_true')
    past.add_argument('-n', type=int, default=20, metavar='COUNT')
    move = verbs.add_parser('switch', help='move a role to a node')
    move.add_argument('target', metavar='NODE')
    move.add_argument('--role', help='needed if there are several')
    move.add_argument('--broadcast', action='store_true',
                      help='tell all nodes, not only the target')
    move.add_argument('--wait', type=float, default=10.0, metavar='S')
    move.add_argument('--json', action='store_true')
    data = verbs.add_parser('data', help='replicated data')
    data.add_argument('action', choices=['list', 'get', 'put'])
    data.add_argument('name', nargs='?')
    data.add_argument('file', nargs='?', help='- or nothing: standard input')
    data.add_argument('--wait', type=float, default=10.0, metavar='S')
    return top


def run(arguments: Any) -> int:
    """Carry out one command."""
    conf = load(arguments.config_file)
    if arguments.verb == 'agent':
        return serve(conf)
    if arguments.verb == 'check-config':
        return check(conf)
    if arguments.verb == 'data':
        return datasync.command(conf, arguments)
    if arguments.verb == 'history':
        entries = history.read(f'{conf.ha.state_dir}/history.jsonl')
        for entry in entries[-arguments.n:]:
            print(statuses.dumps(entry) if arguments.json else ' '.join(
                f'{k}={v}' for k, v in entry.items()))
        return 0
    request: dict[str, Any] = {'verb': arguments.verb}
    wait = 5.0
    if arguments.verb == 'switch':
        role = arguments.role or conf.ha.roles[0]
        if not arguments.role and len(conf.ha.roles) > 1:
            raise control.Failed('there are several roles: give --role, one '
                                 'of ' + ', '.join(conf.ha.roles))
        wait += arguments.wait
        request |= {'role': role, 'target': arguments.target,
                    'broadcast': arguments.broadcast,
                    'wait': arguments.wait}
    answer = control.ask(conf.ha.control_socket, request, wait)
    if arguments.json or arguments.verb == 'switch':
        print(statuses.dumps(answer))
    else:
        show_status(answer)
    return 0


def main() -> int:
    """Entry point; 1 on failure, with one clear error."""
    arguments = parser().parse_args()
    try:
        return run(arguments)
    except (settings.BadConfig, control.Failed, kernel.KernelError,
            etcd.EtcdError, datasync.DataError, ValueError) as exc:
        for line in str(exc).splitlines():
            print(f'error: {line}', file=sys.stderr)
        return 1


if __name__ == '__main__':
    sys.exit(main())
