# SPDX-License-Identifier: Apache-2.0
"""``cinder-tagged-resume``: the journal, for operators and for the agent."""

import argparse
from collections import Counter
from collections.abc import Sequence
import json
import sys
import time
from typing import Any

from cryptography import fernet
from oslo_config import cfg
from oslo_db import options as db_options
from oslo_log import log as logging

from cinder_tagged import exceptions
from cinder_tagged.resume import database
from cinder_tagged.resume.journal import Incarnation
from cinder_tagged.resume.journal import Journal

CONF = cfg.CONF
LOG = logging.getLogger(__name__)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='cinder-tagged-resume',
        description='The journal of accepted requests.')
    parser.add_argument('--config-file', action='append', default=[],
                        help='cinder.conf; the usual places by default')
    commands = parser.add_subparsers(dest='command', required=True)
    commands.add_parser('sync', help='make the tables of the journal')
    commands.add_parser('key', help='print a new key for token_key_file')
    status = commands.add_parser(
        'status', help='show services and requests in flight')
    status.add_argument('--json', action='store_true')
    commands.add_parser(
        'metrics', help='print figures in the text format of Prometheus, '
                        'for the textfile collector of its node exporter')
    takeover = commands.add_parser(
        'takeover', help='fence the services of a dead host; others finish '
                         'what it had in flight')
    chosen = takeover.add_mutually_exclusive_group(required=True)
    chosen.add_argument('--node', help='name of the machine')
    chosen.add_argument('--host', help='host option of the services, with '
                                       'or without @backend')
    takeover.add_argument('--kind', help='only cinder-volume, or only '
                                         'cinder-scheduler')
    takeover.add_argument('--why', default='declared dead by the operator')
    takeover.add_argument('--wait', type=float, default=0.0, metavar='S',
                          help='seconds to wait until they are cut off')
    return parser


def _of_host(incarnation: Incarnation, host: str) -> bool:
    return incarnation.host == host or incarnation.host.startswith(f'{host}@')


def _takeover(journal: Journal, arguments: argparse.Namespace) -> int:
    there = [i for i in journal.incarnations()
             if arguments.kind in (None, i.kind)
             and (i.node == arguments.node if arguments.node
                  else _of_host(i, arguments.host))]
    if not there:
        print('no service is on record there; see '
              '"cinder-tagged-resume status"', file=sys.stderr)
        return 1
    dead = [i for i in there if i.cut_at is None]
    if not dead:
        print('all services on record there were cut off before')
        return 0
    for incarnation in dead:
        if journal.fence(incarnation.id, arguments.why):
            print(f'fenced {incarnation.kind} of {incarnation.host} '
                  f'(process {incarnation.pid} on {incarnation.node})')
    ids = {i.id for i in dead}
    until = time.monotonic() + arguments.wait
    while True:
        left = [i for i in journal.incarnations()
                if i.id in ids and i.cut_at is None]
        if not left or time.monotonic() >= until:
            break
        time.sleep(0.1)
    for incarnation in left if arguments.wait else ():
        print(f'{incarnation.host}: no peer could cut its Ceph clients off '
              f'within {arguments.wait:g} s; they go on trying',
              file=sys.stderr)
    return 3 if arguments.wait and left else 0


def _status(journal: Journal) -> dict[str, Any]:
    now = time.time()
    return {
        'services': [{
            'kind': i.kind, 'host': i.host, 'node': i.node, 'pid': i.pid,
            'seen_s_ago': round(now - i.seen_at, 1),
            'state': ('cut off' if i.cut_at else 'fenced' if i.fenced_at
                      else 'live'),
            'why': i.why, 'ceph_clients': sum(map(len, i.clients.values())),
        } for i in journal.incarnations()],
        'requests': [{
            'operation': e.method, 'resource': e.resource_id,
            'state': e.state.value, 'queue': e.queue,
            'attempts': e.attempts, 'age_s': round(now - e.created_at, 1),
        } for e in journal.entries()],
        'done_again': [{
            'operation': r['method'], 'outcome': r['outcome'],
            'number': r['number'],
            'mean_s': round(r['seconds'] / r['number'], 1),
            'longest_s': round(r['longest'], 1),
        } for r in journal.outcomes()],
    }


def _metrics(journal: Journal) -> str:
    """Return the figures in the text format of Prometheus."""
    lines = [
        '# HELP cinder_tagged_resume_requests_total Requests that another '
        'service finished (resumed) or had to end in error (failed).',
        '# TYPE cinder_tagged_resume_requests_total counter']
    rows = [({'operation': r['method'], 'outcome': r['outcome']}, r)
            for r in journal.outcomes()]
    for name, field in (('requests_total', 'number'),
                        ('seconds_sum', 'seconds'),
                        ('seconds_longest', 'longest')):
        lines += [f'cinder_tagged_resume_{name}{{{_labels(labels)}}} '
                  f'{row[field]:g}' for labels, row in rows]
    in_flight = Counter(e.state.value for e in journal.entries())
    services = Counter(
        (i.kind, 'fenced' if i.fenced_at else 'live')
        for i in journal.incarnations() if i.cut_at is None)
    lines += [f'cinder_tagged_resume_in_flight{{state="{state}"}} {number}'
              for state, number in sorted(in_flight.items())]
    lines += [f'cinder_tagged_resume_services{{kind="{kind}",state="{state}"}}'
              f' {number}' for (kind, state), number
              in sorted(services.items())]
    return '\n'.join(lines) + '\n'


def _labels(labels: dict[str, str]) -> str:
    return ','.join(f'{name}="{value}"' for name, value in labels.items())


def _print_status(status: dict[str, Any]) -> None:
    print(f'{"SERVICE":17} {"HOST":32} {"NODE":14} {"STATE":8} SEEN')
    for s in status['services']:
        print(f'{s["kind"]:17} {s["host"]:32} {s["node"]:14} '
              f'{s["state"]:8} {s["seen_s_ago"]} s ago')
    print(f'\n{"OPERATION":21} {"RESOURCE":37} {"STATE":11} {"AGE":>7} AGAIN')
    for r in status['requests']:
        print(f'{r["operation"]:21} {r["resource"]:37} {r["state"]:11} '
              f'{r["age_s"]:>5} s {r["attempts"]}')
    if status['done_again']:
        print(f'\n{"DONE AGAIN":21} {"OUTCOME":9} {"NUMBER":>6} {"MEAN":>8} '
              f'{"LONGEST":>8}')
    for r in status['done_again']:
        print(f'{r["operation"]:21} {r["outcome"]:9} {r["number"]:>6} '
              f'{r["mean_s"]:>6} s {r["longest_s"]:>6} s')


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 done, 1 nothing to do, 2 unusable, 3 not in time."""
    arguments = _parser().parse_args(argv)
    if arguments.command == 'key':
        print(fernet.Fernet.generate_key().decode())
        return 0
    files = [f'--config-file={name}' for name in arguments.config_file]
    db_options.set_defaults(CONF)
    CONF(files, project='cinder')
    try:
        journal = database.open_journal()
        if arguments.command == 'takeover':
            return _takeover(journal, arguments)
        if arguments.command == 'metrics':
            print(_metrics(journal), end='')
        if arguments.command == 'status':
            status = _status(journal)
            if arguments.json:
                print(json.dumps(status, indent=2))
            else:
                _print_status(status)
    except exceptions.CinderTaggedError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == '__main__':
    sys.exit(main())
