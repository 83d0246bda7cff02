# SPDX-License-Identifier: Apache-2.0
"""cinder-tagged-fence: the command of operators and of lvmlockctl.

Exit status: 0 done (or nothing to do), 1 not done, 2 wrong use.
"""

from collections.abc import Callable
from collections.abc import Sequence
import json
import logging as stdlib_logging
import signal
import sys
import threading
from typing import Any

from oslo_config import cfg
from oslo_log import log as logging

from cinder_tagged.ha.fence import assembly
from cinder_tagged.ha.fence import exceptions
from cinder_tagged.ha.fence import options
from cinder_tagged.ha.fence import presentation
from cinder_tagged.ha.fence.adapters import processes
from cinder_tagged.ha.fence.adapters import settings
from cinder_tagged.ha.fence.core import timers
from cinder_tagged.ha.fence.core.model import Order
from cinder_tagged.ha.fence.fencer import Report

LOG = logging.getLogger(__name__)
NAME = 'cinder-tagged-fence'
DONE, NOT_DONE, WRONG_USE = 0, 1, 2
# Seconds that a kill command gets even when its start took them all: without
# it the node is lost for certain.
LEAST = 5.0


class Command:
    """One call: the node, its fencer and what was asked."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self.conf = conf
        self.fence = conf.fence
        parts = assembly.assemble(conf)
        self.node, self.fencer = parts.node, parts.fencer
        self.watcher = parts.watcher

    def _show(self, data: Any, text: str) -> None:
        print(json.dumps(data, indent=1) if self.conf.command.json
              else text)

    def plan(self) -> int:
        """Print the steps of a run; touch nothing."""
        order = self.fencer.order(self.conf.command.vg, forced=True)
        steps = [str(step) for step in self.fencer.plan(order)]
        self._show({'vg': order.vg, 'scope': order.scope.value,
                    'reason': order.reason, 'steps': steps},
                   presentation.plan(order, steps))
        return DONE

    def run(self) -> int:
        command = self.conf.command
        order = self.fencer.order(command.vg, forced=command.force)
        if command.dry_run:
            return self.plan()
        return self._reported(self.fencer.run(order))

    def kill(self) -> int:
        """As lvmlockctl_kill_command: cut all, verify, never drop.

        lvmlockctl drops the locks itself after exit status 0.
        """
        order = Order(self.conf.command.vg, drop=False, forced=True,
                      reason='sanlock lost its lease')
        left = self.fence.kill_deadline - processes.age()
        return self._reported(self.fencer.run(order, max(left, LEAST)))

    def recover(self) -> int:
        report, end = self.fencer.recover(self.conf.command.vg)
        self._show({**vars(report), 'back': end.back, 'taken': end.taken,
                    'failed': end.failed}, presentation.report(report))
        return DONE if report.ok else NOT_DONE

    def status(self) -> int:
        views = [self.fencer.view(vg) for vg in self._groups()]
        rows = [presentation.summary(view, self.fencer.record(view.vg))
                for view in views]
        self._show(rows, presentation.status(rows))
        return DONE

    def check(self) -> int:
        facts = self.node.facts()
        read = settings.timers(
            facts, self.fence.grace, self.fence.run_deadline,
            self.fence.kill_deadline)
        found = (*settings.findings(facts, self.fence.command_deadline),
                 *timers.check(read))
        self._show({'timers': vars(read),
                    'deadlines': vars(timers.deadlines(read)),
                    'findings': [vars(f) for f in found]},
                   presentation.check(read, found))
        bad = any(f.level == 'error' for f in found)
        return NOT_DONE if bad else DONE

    def watch(self) -> int:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        LOG.info('watching %s', ', '.join(self.fence.volume_groups)
                 or 'every shared volume group')
        self.watcher.watch(stop)
        return DONE

    def _groups(self) -> Sequence[str]:
        if self.conf.command.vg:
            return [self.conf.command.vg]
        found = {*self.fencer.groups(), *self.fencer.fenced()}
        return self.fence.volume_groups or sorted(found)

    def _reported(self, report: Report) -> int:
        self._show(vars(report), presentation.report(report))
        return DONE if report.ok else NOT_DONE


def _subcommands(subparsers: Any) -> None:
    texts: dict[str, tuple[str, Callable[[Any], None]]] = {
        'plan': ('print what "run" would do, touching nothing', _vg),
        'run': ('cut the volumes of a lost group off, drop its locks',
                _run),
        'kill': ('lvmlockctl_kill_command: cut the volumes off, drop '
                 'nothing', _vg),
        'recover': ('take the locks again, restore the volumes', _vg),
        'status': ('show groups, paths, tables, locks', _maybe_vg),
        'check': ('check this node, compute its deadlines', _nothing),
        'watch': ('watch paths and leases, and run when they are lost',
                  _nothing)}
    for name, (text, arguments) in texts.items():
        parser = subparsers.add_parser(name, help=text, description=text)
        parser.add_argument('--json', action='store_true',
                            help='print JSON')
        arguments(parser)


def _vg(parser: Any) -> None:
    parser.add_argument('vg', metavar='VG', help='name of a volume group')


def _maybe_vg(parser: Any) -> None:
    parser.add_argument('vg', metavar='VG', nargs='?', default='')


def _nothing(parser: Any) -> None:
    del parser


def _run(parser: Any) -> None:
    _vg(parser)
    parser.add_argument('--force', action='store_true',
                        help='go on although paths and leases are sound')
    parser.add_argument('--dry-run', action='store_true',
                        help='the same as "plan"')


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; every error is one line for an operator."""
    conf = cfg.ConfigOpts()
    options.register(conf)
    logging.register_options(conf)
    # Standard output is the command's answer; oslo.log would log there.
    conf.set_default('use_stderr', True)
    conf.register_cli_opt(cfg.SubCommandOpt(
        'command', handler=_subcommands, title='commands'))
    try:
        conf(sys.argv[1:] if argv is None else argv,
             project='cinder-tagged', prog=NAME)
        logging.setup(conf, NAME)
        stdlib_logging.captureWarnings(True)
        return int(getattr(Command(conf), conf.command.name)())
    except cfg.Error as error:
        print(f'{NAME}: {error}', file=sys.stderr)
        return WRONG_USE
    except (exceptions.FenceError, OSError) as error:
        LOG.error('%s', error)
        print(f'{NAME}: {error}', file=sys.stderr)
        return NOT_DONE


if __name__ == '__main__':
    sys.exit(main())
