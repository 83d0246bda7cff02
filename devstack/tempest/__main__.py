# SPDX-License-Identifier: Apache-2.0
"""Run Tempest with stock and tagged drivers on sandboxes, and compare."""

import argparse
import json
from pathlib import Path
import shutil
import subprocess
import sys

from devstack.sandbox.__main__ import Clock
from devstack.sandbox.process import SandboxError
from devstack.sandbox.sandbox import Sandbox
from devstack.sandbox.settings import Settings
from devstack.tempest import configuration
from devstack.tempest import results

_TESTS = r'^(tempest\.(api\.volume|scenario\.\w*volume)|cinder_tempest_plugin)'
_KINDS = ('stock', 'tagged')
_DEADLINE_S = 3600


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
                        help='write what became of each test to a JSON file')
    parser.add_argument('--tempest', type=Path, required=True,
                        help=argparse.SUPPRESS)
    return parser


def _play(kind: str, arguments: argparse.Namespace,
          clock: Clock) -> dict[str, str]:
    """Run the tests on a sandbox of their own."""
    state = Path(f'/tmp/cinder-tagged-tempest-{kind}')
    shutil.rmtree(state, ignore_errors=True)
    settings = Settings(state, stock=kind == 'stock',
                        parts=frozenset({'image'}))
    with Sandbox.start(settings, clock.step) as sandbox:
        directory = state / 'tempest'
        subprocess.run([arguments.tempest, 'init', directory], check=True,
                       capture_output=True, timeout=_DEADLINE_S)
        sandbox.layout.write_conf(
            'tempest/etc/tempest.conf', configuration.configuration(
                sandbox, directory, configuration.upload_images(sandbox)))
        clock.say(f'{kind}: running Tempest')
        return _run_tempest(arguments, directory)


def _run_tempest(arguments: argparse.Namespace,
                 directory: Path) -> dict[str, str]:
    lines = []
    with subprocess.Popen(
            [arguments.tempest, 'run', '--regex', arguments.regex,
             '--concurrency', str(arguments.concurrency)],
            cwd=directory, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if line.startswith('{') or 'Error' in line:
                print(line, end='', flush=True)
    found = results.read(''.join(lines))
    if not found:
        raise SandboxError('Tempest ran no test:\n' + ''.join(lines[-40:]))
    return found


def main() -> int:
    """Run the command; returns its exit status."""
    arguments = _parser().parse_args()
    clock = Clock()
    kinds = [arguments.only] if arguments.only else _KINDS
    runs = {kind: _play(kind, arguments, clock) for kind in kinds}
    if arguments.keep:
        arguments.keep.write_text(
            json.dumps(runs, indent=1, sort_keys=True) + '\n')
    compared = results.Comparison(runs.get('stock', {}),
                                  runs.get('tagged', {}))
    print(results.table(compared.rows()))
    for title, names in (('stock', compared.worse),
                         ('tagged', compared.better)):
        if names and not arguments.only:
            print(f'passed with {title} only:', *names, sep='\n  ')
    if arguments.only:
        return int('FAILED' in runs[arguments.only].values())
    return int(bool(compared.worse))


if __name__ == '__main__':
    sys.exit(main())
