# SPDX-License-Identifier: Apache-2.0
"""Run Tempest with stock and tagged drivers on sandboxes, and compare."""

import argparse
import contextlib
import json
import os
from pathlib import Path
import shutil
import signal
import subprocess
import sys
import threading
from typing import Any

from devstack.sandbox.__main__ import Clock
from devstack.sandbox.process import run
from devstack.sandbox.process import SandboxError
from devstack.sandbox.sandbox import Sandbox
from devstack.sandbox.settings import Settings
from devstack.tempest import configuration
from devstack.tempest import results

_TESTS = r'^(tempest\.(api\.volume|scenario)\.|cinder_tempest_plugin\.)'
_KINDS = ('stock', 'tagged')
_DEADLINE_S = 3600

Runs = dict[str, dict[str, str]]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='tools/tempest', description='Run Tempest against the sandbox '
        'with Cinder\'s own RBD driver and with the tagged one, and compare. '
        'The exit status is 1 if a test passes with stock only.')
    parser.add_argument('regex', nargs='?', default=_TESTS,
                        help='which tests (default: %(default)s)')
    parser.add_argument('--only', choices=_KINDS,
                        help='run with one of the two')
    parser.add_argument('--concurrency', type=int, default=2, metavar='N')
    parser.add_argument('--keep', type=Path, metavar='FILE',
                        help='keep what became of each test in a JSON file. '
                             'What it holds from earlier runs takes part in '
                             'the comparison')
    parser.add_argument('--logs', type=Path, metavar='DIR',
                        help='keep the whole output, and the logs of the '
                             'services, in a directory')
    parser.add_argument('--show', action='store_true',
                        help='run nothing; compare what --keep holds')
    parser.add_argument('--tempest', type=Path, required=True,
                        help=argparse.SUPPRESS)
    return parser


def _play(kind: str, arguments: argparse.Namespace,
          clock: Clock) -> dict[str, str]:
    """Run the tests on a sandbox of their own."""
    state = Path(f'/tmp/cinder-tagged-tempest-{kind}')
    shutil.rmtree(state, ignore_errors=True)
    # Green threads are Cinder's own choice, and what stock is known to
    # work with.
    settings = Settings(state, stock=kind == 'stock', eventlet=True,
                        parts=frozenset({'compute'}))
    with Sandbox.start(settings, clock.step) as sandbox:
        configuration.install_keyrings(sandbox)
        directory = state / 'tempest'
        # Its register of workspaces goes with the sandbox.
        run([arguments.tempest, 'init', '--workspace-path',
             state / 'workspaces', directory])
        sandbox.layout.write_conf(
            'tempest/etc/tempest.conf', configuration.configuration(
                sandbox, directory, configuration.upload_images(sandbox)))
        clock.say(f'{kind}: running Tempest')
        try:
            return _run_tempest(arguments, sandbox, directory)
        finally:
            clock.say(f'{kind}: Tempest ended')
            if arguments.logs:
                shutil.copytree(state / 'log', arguments.logs / kind,
                                dirs_exist_ok=True)
                shutil.copy(directory / 'output', arguments.logs / kind)


def _run_tempest(arguments: argparse.Namespace, sandbox: Sandbox,
                 directory: Path) -> dict[str, str]:
    """Run Tempest; returns what became of each test.

    :raises SandboxError: it ran none, or took too long
    """
    ended: dict[str, str] = {}
    with (directory / 'output').open('w') as output, subprocess.Popen(
            [arguments.tempest, 'run', '--regex', arguments.regex,
             '--concurrency', str(arguments.concurrency)],
            cwd=directory, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True,
            env={**os.environ, **sandbox.layout.guard.environment()},
            ) as process, _deadline(process):
        assert process.stdout is not None
        for line in process.stdout:
            output.write(line)
            if found := results.read_line(line):
                print(line, end='', flush=True)
                ended[found[0]] = found[1]
    if not ended or process.returncode < 0:
        raise SandboxError(
            f'Tempest ended with {process.returncode} after {len(ended)} '
            f'tests:\n{(directory / "output").read_text()[-4000:]}')
    return ended


@contextlib.contextmanager
def _deadline(process: 'subprocess.Popen[str]') -> Any:
    """End a process that takes too long, and all that it started."""
    def end() -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    timer = threading.Timer(_DEADLINE_S, end)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _read(path: Path | None) -> Runs:
    if path is None or not path.exists():
        return {kind: {} for kind in _KINDS}
    return dict(json.loads(path.read_text())['runs'])


def _write(path: Path, runs: Runs) -> None:
    versions = (Path(__file__).parent / 'requirements.txt').read_text()
    path.write_text(json.dumps(
        {'versions': versions.split(), 'runs': runs}, indent=1,
        sort_keys=True) + '\n')


def main() -> int:
    """Run the command; returns its exit status."""
    arguments = _parser().parse_args()
    clock = Clock()
    runs = _read(arguments.keep)
    kinds = () if arguments.show else (
        (arguments.only,) if arguments.only else _KINDS)
    for kind in kinds:
        runs[kind] |= _play(kind, arguments, clock)
        if arguments.keep:
            _write(arguments.keep, runs)
    compared = results.Comparison(runs['stock'], runs['tagged'])
    print(results.text(compared))
    if arguments.only and not runs[({*_KINDS} - {arguments.only}).pop()]:
        return int('FAILED' in runs[arguments.only].values())
    return int(bool(compared.worse))


if __name__ == '__main__':
    sys.exit(main())
