# SPDX-License-Identifier: Apache-2.0
"""``cinder-tagged drain``, ``rebalance`` and ``moves``."""

import argparse
import contextlib
import pathlib
import re
import signal
import sys
import time
from types import FrameType
from typing import Any

from cinder_tagged import exceptions
from cinder_tagged import features
from cinder_tagged import placement
from cinder_tagged.cli import connecting
from cinder_tagged.cli import report
from cinder_tagged.moves import cloud as cloud_mod
from cinder_tagged.moves import errors
from cinder_tagged.moves import model
from cinder_tagged.moves import planning
from cinder_tagged.moves import record as record_mod
from cinder_tagged.moves import runner as runner_mod
from cinder_tagged.moves import show

_TIMEOUT_S = 60
_PAUSED = 3


def run(arguments: argparse.Namespace) -> int:
    """Run one of the commands; returns the exit status."""
    try:
        return _COMMANDS[arguments.does](arguments)
    except (exceptions.CinderTaggedError, *connecting.ERRORS) as error:
        print(f'cinder-tagged: {error}', file=sys.stderr)
        return 1


# -- the commands -----------------------------------------------------------

def _connect(arguments: argparse.Namespace) -> cloud_mod.Cloud:
    return cloud_mod.Cloud(connecting.block_storage(arguments, _TIMEOUT_S))


def _drain(arguments: argparse.Namespace) -> int:
    cloud = _connect(arguments)
    storage = cloud.storage()
    volumes = cloud.volumes(storage, arguments.require or '')
    sources = _sources(arguments.backend, storage, volumes)
    plan = planning.drain(f'drain {arguments.backend}', volumes,
                          storage.pools, sources,
                          placement.get_policy(arguments.policy))
    _keep(arguments, plan, f'drain-{_plain(arguments.backend)}.json')
    open_ones = sorted(p.backend for p in storage.pools
                       if p.backend in sources and p.up)
    if open_ones:
        print('\nNew volumes may still land on '
              f'{", ".join(map(report.service_of, open_ones))}: '
              'to keep them away, set feature_weight = 0 there, or disable '
              'the service with '
              '"openstack volume service set --disable HOST@STANZA '
              'cinder-volume", before the plan is carried out')
    return _go_on(arguments, cloud, plan)


def _rebalance(arguments: argparse.Namespace) -> int:
    cloud = _connect(arguments)
    storage = cloud.storage()
    within = None
    if arguments.within:
        within = frozenset(
            pool.backend for pool in storage.carrying(
                features.parse_expression(arguments.within)))
        if not within:
            raise errors.MovesError(
                f'--within {arguments.within}: no backend has these tags; '
                '"openstack volume feature list" shows what there is')
    plan = planning.rebalance(
        'rebalance', cloud.volumes(storage, arguments.require or ''),
        storage.pools, arguments.tolerance / 100, within)
    _keep(arguments, plan, 'rebalance.json')
    return _go_on(arguments, cloud, plan)


def _sources(name: str, storage: report.Storage,
             volumes: list[model.Volume]) -> frozenset[str]:
    """Find the backends that an operator means.

    :raises MovesError: none or several different ones have the name
    """
    known = {pool.backend for pool in storage.pools}
    known |= {silent.backend for silent in storage.silent}
    known |= {volume.backend for volume in volumes if volume.backend}
    found = {backend for backend in known
             if name in (backend, report.service_of(backend),
                         report.stanza_of(backend))}
    services = {report.service_of(backend) for backend in found}
    if len(services) == 1:
        return frozenset(found)
    choice = ', '.join(sorted(services or {
        report.service_of(backend) for backend in known}))
    raise errors.MovesError(
        f'{name}: {"several backends have" if services else "no backend has"}'
        f' this name; name one of {choice}')


def _plain(name: str) -> str:
    return re.sub(r'[^A-Za-z0-9_.-]+', '-', name)


def _keep(arguments: argparse.Namespace, plan: model.Plan,
          usual: str) -> None:
    """Show a plan and write it down.

    :raises MovesError: the file holds one that is not finished
    """
    arguments.file = path = arguments.file or pathlib.Path(usual)
    if path.exists():
        before = record_mod.Record.read(path).plan
        begun = before.count(model.State.MOVING) or (
            before.unfinished and any(m.began for m in before.moves))
        if begun:
            raise errors.MovesError(
                f'{path} holds a plan that was begun and is not finished; '
                f'"cinder-tagged moves run {path}" goes on with it; name '
                'another file with --file, or remove this one')
    print(show.plan(plan, arguments.all))
    record_mod.Record(path, plan).write()


def _go_on(arguments: argparse.Namespace, cloud: cloud_mod.Cloud,
           plan: model.Plan) -> int:
    if arguments.run:
        print()
        return _carry_out(arguments, cloud)
    if plan.moves:
        print(f'\nNothing has been changed. "cinder-tagged moves run '
              f'{arguments.file}" carries it out.')
    return 0


def _run(arguments: argparse.Namespace) -> int:
    # Before anything else: a wrong name needs no cloud to be told.
    record_mod.Record.read(arguments.file)
    return _carry_out(arguments, _connect(arguments), arguments.retry)


def _show(arguments: argparse.Namespace) -> int:
    plan = record_mod.Record.read(arguments.file).plan
    print(show.plan(plan, arguments.all))
    print(f'\n{show.bar(plan, time.time())}')
    return 0


def _pause(arguments: argparse.Namespace) -> int:
    record = record_mod.Record.read(arguments.file)
    record.pause()
    under_way = record.plan.count(model.State.MOVING)
    print(f'No more moves of {arguments.file} begin; {under_way} under way '
          f'will end. "cinder-tagged moves run {arguments.file}" goes on.')
    return 0


def _carry_out(arguments: argparse.Namespace, cloud: cloud_mod.Cloud,
               retry: bool = False) -> int:
    clustered = cloud.clustered()
    screen = _Screen()
    with record_mod.alone(arguments.file):
        record = record_mod.Record.read(arguments.file)
        plan = record.plan
        if retry:
            plan.retry()
        record.unpause()
        runner = runner_mod.Runner(record, cloud, clustered,
                                   arguments.at_once, screen.tell)
        with _interrupts(runner):
            finished = runner.run()
        screen.end()
    print(show.bar(plan, time.time()))
    if not finished:
        print(f'Paused. "cinder-tagged moves run {record.path}" goes on.')
        return _PAUSED
    return int(bool(plan.count(model.State.FAILED) or plan.left))


@contextlib.contextmanager
def _interrupts(runner: runner_mod.Runner) -> Any:
    """Let the first interruption pause, and the second end at once."""
    def pause(_signal: int, _frame: FrameType | None) -> None:
        if runner.pausing.is_set():
            raise KeyboardInterrupt
        runner.pausing.set()
        print('\nNo more moves begin; waiting for those under way (again to '
              'leave them to Cinder and end now)', file=sys.stderr)

    before = {number: signal.signal(number, pause)
              for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except KeyboardInterrupt:
        raise errors.MovesError(
            'ended; what is under way goes on in Cinder, and "moves run" '
            'takes note of it') from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Screen:
    """Progress: a bar that moves on a terminal, lines elsewhere."""

    def __init__(self) -> None:
        self._bar = sys.stdout.isatty()
        self._last = ''

    def tell(self, plan: model.Plan, event: str) -> None:
        if event:
            self._wipe()
            print(f'{time.strftime("%H:%M:%S")} {event}', flush=True)
        if self._bar:
            line = show.bar(plan, time.time())
            print('\r' + line.ljust(len(self._last)), end='', flush=True)
            self._last = line

    def end(self) -> None:
        self._wipe()

    def _wipe(self) -> None:
        if self._last:
            print('\r' + ' ' * len(self._last) + '\r', end='')
            self._last = ''


_COMMANDS = {'drain': _drain, 'rebalance': _rebalance, 'run': _run,
             'show': _show, 'pause': _pause}
