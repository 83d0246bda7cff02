# SPDX-License-Identifier: Apache-2.0
"""``cinder-tagged check``."""

import argparse
import pathlib
import sys
from typing import Any

from cinder_tagged.check import gather
from cinder_tagged.check import model
from cinder_tagged.check import report
from cinder_tagged.check import rules

_USUAL = {'cinder': '/etc/cinder/cinder.conf',
          'nova': '/etc/nova/nova.conf',
          'glance': '/etc/glance/glance-api.conf'}
_SECRETS = '/etc/libvirt/secrets'
_EPILOG = """\
exit status: 0 nothing as bad as --fail-on was found; 1 something was;
2 the command was wrong
"""


def add_to(commands: Any) -> None:
    """Add the command to the parser of ``cinder-tagged``."""
    check = commands.add_parser(
        'check', epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        help='look for mistakes in the configuration of this node',
        description='Look for mistakes in the configuration of this node, '
                    'before and after it is switched to feature tags. '
                    'Changes nothing; prints no secret. Run it as root, so '
                    'that it can tell what the services may read.')
    for service, usual in _USUAL.items():
        check.add_argument(
            f'--{service}-conf', action='append', metavar='FILE',
            help=f'a file or directory of {service}; several are read in '
                 f'order. Default: {usual}, if it exists and no file of '
                 'any service is named')
        check.add_argument(
            f'--{service}-user', default=service, metavar='USER',
            help=f'operating system user of {service} (default: {service})')
    check.add_argument(
        '--collected', default='', metavar='DIR',
        help='directory with one directory for each other host, holding its '
             'cinder.conf and, if wanted, what "pip freeze" printed there '
             'as versions.txt: compare hosts')
    check.add_argument(
        '--libvirt-secrets', metavar='DIR',
        help=f'where libvirt keeps its secrets (default: {_SECRETS}, if it '
             'exists and nova.conf is looked at)')
    check.add_argument(
        '--connect', action='store_true',
        help='connect to each cluster as each service, list its pool, and '
             'create and remove a small image there')
    check.add_argument(
        '--deadline', type=_seconds, default=10, metavar='S',
        help='seconds for each call to a cluster (default: 10)')
    check.add_argument('--format', choices=('text', 'json'), default='text')
    check.add_argument(
        '--fail-on', choices=('error', 'warning', 'info'), default='error',
        help='the least severity that makes the exit status 1')


def _seconds(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(
            f'{text}: a whole number of seconds, at least 1')
    return value


def _wanted(arguments: argparse.Namespace) -> gather.Wanted:
    named = {service: getattr(arguments, f'{service}_conf') or []
             for service in _USUAL}
    if not any(named.values()):
        named = {service: [path] if pathlib.Path(path).exists() else []
                 for service, path in _USUAL.items()}
    secrets = arguments.libvirt_secrets or (
        _SECRETS if named['nova'] and pathlib.Path(_SECRETS).is_dir()
        else '')
    return gather.Wanted(
        **named, collected=arguments.collected, secrets=secrets,
        users={service: getattr(arguments, f'{service}_user')
               for service in _USUAL},
        deadline=arguments.deadline if arguments.connect else None)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns its exit status."""
    wanted = _wanted(arguments)
    looked_at = [*wanted.cinder, *wanted.nova, *wanted.glance,
                 *filter(None, (wanted.collected, wanted.secrets))]
    if not looked_at:
        print('cinder-tagged check: there is nothing to look at: none of '
              f'{", ".join(_USUAL.values())} exists; name files, such as '
              '--cinder-conf FILE', file=sys.stderr)
        return 2
    found = rules.findings(gather.gather(wanted))
    show = report.as_json if arguments.format == 'json' else report.as_text
    print(show(found, looked_at))
    limit = model.Severity[arguments.fail_on.upper()]
    return int(any(finding.severity >= limit for finding in found))
