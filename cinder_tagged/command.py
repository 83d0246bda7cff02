# SPDX-License-Identifier: Apache-2.0
"""``cinder-tagged``: the operator's command, put together from its rooms."""

import argparse
from collections.abc import Sequence
import sys

from cinder_tagged.check import cli as check
from cinder_tagged.metrics import cli as metrics
from cinder_tagged.moves import arguments as moves_arguments
from cinder_tagged.moves import cli as moves


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = argparse.ArgumentParser(prog='cinder-tagged')
    commands = top.add_subparsers(dest='command', required=True)
    check.add_to(commands)
    moves_arguments.add_to(commands)
    metrics.add_to(commands)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    arguments = parser().parse_args(argv)
    run = {'check': check.run, 'metrics': metrics.run}.get(
        arguments.command, moves.run)
    return run(arguments)


if __name__ == '__main__':
    sys.exit(main())
