# SPDX-License-Identifier: Apache-2.0
"""The command lines of ``drain``, ``rebalance`` and ``moves``."""

import argparse
import contextlib
import pathlib
from typing import Any

from cinder_tagged import exceptions
from cinder_tagged import features
from cinder_tagged import placement
from cinder_tagged.cli import connecting

_EPILOG = """\
Nothing is changed unless --run is given; the plan is shown and kept in a
file, and "cinder-tagged moves run FILE" carries it out.

exit status: 0 all is done, or the plan is made; 1 something could not be
moved, or an error; 2 the command was wrong; 3 paused, moves are left
"""

Commands = Any  # argparse does not name the type of its subparsers


def add_to(commands: Commands) -> None:
    """Add the commands to the parser of ``cinder-tagged``.

    What is to be done is left in the argument ``does``.
    """
    drain = _command(
        commands, 'drain', 'drain', 'empty a backend',
        'Move the volumes of a backend to other clusters that have what '
        'their types ask for, by weight.')
    drain.add_argument(
        'backend', metavar='BACKEND',
        help='the stanza\'s name, such as ceph-old, or HOST@STANZA where '
             'several hosts have one of that name')
    drain.add_argument(
        '--policy', choices=sorted(placement.POLICIES),
        default='proportional',
        help='which clusters come first (default: %(default)s)')
    balance = _command(
        commands, 'rebalance', 'rebalance', 'share loads anew',
        'Move volumes until what each cluster holds is in proportion to its '
        'weight, with few moves: after a cluster was added, or a weight '
        'changed.')
    balance.add_argument(
        '--within', metavar='EXPRESSION', type=_expression,
        help='only between clusters whose tags meet this, such as ssd')
    balance.add_argument(
        '--tolerance', metavar='PERCENT', type=_percent, default=5.0,
        help='leave differences up to this alone (default: %(default)g)')
    for parser in (drain, balance):
        _add_planning(parser)
        _add_running(parser)
    _add_moves(commands)


def _command(commands: Commands, name: str, does: str, short: str,
             text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=short, description=text, epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.set_defaults(does=does)
    connecting.add_to(parser)
    return parser


def _add_planning(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--require', metavar='EXPRESSION', type=_expression,
        help='take only destinations whose tags meet this, too; of use for '
             'volumes that were made with a hint, which Cinder forgets')
    parser.add_argument(
        '--file', metavar='FILE', type=pathlib.Path,
        help='where the plan is kept (default: drain-BACKEND.json or '
             'rebalance.json in this directory)')
    parser.add_argument('--run', action='store_true',
                        help='carry the plan out at once')
    parser.add_argument('--all', action='store_true',
                        help='show every volume, however many there are')


def _add_running(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--at-once', metavar='N', type=_count, default=2,
        help='how many volumes move at the same time (default: %(default)s)')


def _add_moves(commands: Commands) -> None:
    moves = commands.add_parser(
        'moves', help='carry out, follow or pause a plan',
        description='Work with a plan that "drain" or "rebalance" made.')
    verbs = moves.add_subparsers(dest='verb', required=True)
    run = _command(verbs, 'run', 'run', 'carry out, or go on with, a plan',
                   'Carry a plan out, or go on where it stopped. Interrupt '
                   'it (Ctrl-C) to pause.')
    run.add_argument('--retry', action='store_true',
                     help='try again what failed')
    _add_running(run)
    for name, short in (
            ('show', 'show a plan and what has become of it'),
            ('pause', 'let whoever carries a plan out begin no more moves')):
        parser = verbs.add_parser(name, help=short)
        parser.set_defaults(does=name)
        parser.add_argument('--all', action='store_true',
                            help='show every volume')
    for parser in verbs.choices.values():
        parser.add_argument('file', metavar='FILE', type=pathlib.Path)


def _expression(text: str) -> str:
    try:
        features.parse_expression(text)
    except exceptions.ExpressionError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def _percent(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 <= (value := float(text)) <= 1000:
            return value
    raise argparse.ArgumentTypeError(f'{text}: a number from 0 to 1000')


def _count(text: str) -> int:
    with contextlib.suppress(ValueError):
        if 1 <= (value := int(text)) <= 1000:
            return value
    raise argparse.ArgumentTypeError(f'{text}: a whole number, at least 1')
