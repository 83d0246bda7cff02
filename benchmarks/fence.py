# SPDX-License-Identifier: Apache-2.0
"""A node loses its SAN: stock LVM, sanlock and watchdog, and with fencing.

    benchmarks/run fence [--runs N] [--io-timeout S]

Each run starts fresh machines. Times are seconds after the cut, by the
machines' own clocks. Beside results/fence.json it writes every run's full
record to results/fence-runs.json, as it comes.
"""

import argparse
import json
import logging
from pathlib import Path
import sys
import time

from benchmarks.report import Case
from benchmarks.report import report
from benchmarks.report import RESULTS
from devstack.fence_lab import scenario
from devstack.fence_lab.lab import IO_TIMEOUT
from devstack.fence_lab.lab import Lab

KINDS = ('stock', 'watcher', 'kill')
STOCK = 'stock: reset by the watchdog'


def measure(kind: str, io_timeout: int) -> scenario.Result:
    """Play one run on machines of its own."""
    with Lab(io_timeout) as lab:
        if kind == 'stock':
            return scenario.stock(lab, _say)
        return scenario.fenced(lab, _say, kind)


def _say(text: str) -> None:
    print(f'{time.strftime("%H:%M:%S")} {text}', flush=True)


def cases(runs: list[scenario.Result]) -> list[Case]:
    """Return what both have: a peer that waits is no better off by us."""
    def column(kind: str, name: str) -> list[float]:
        return [getattr(r, name) for r in runs
                if r.kind == kind and getattr(r, name) is not None]
    found = []
    for kind in ('watcher', 'kill'):
        found += [
            Case(f'{kind}: guests\' I/O hangs for',
                 column(kind, 'io_ended'), column('stock', 'node_reset'),
                 STOCK),
            Case(f'{kind}: peer has the volume after',
                 column(kind, 'peer_active'),
                 column('stock', 'peer_active'), STOCK)]
    return [case for case in found if case.ours and case.peer]


def _keep(runs: list[scenario.Result], path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps([r.as_dict() for r in runs], indent=1) + '\n')


def main() -> int:
    logging.basicConfig(level=logging.INFO, format='%(message)s')
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--runs', type=int, default=5)
    parser.add_argument('--io-timeout', type=int, default=IO_TIMEOUT)
    parser.add_argument('--kinds', nargs='+', choices=KINDS, default=KINDS)
    chosen = parser.parse_args()
    runs: list[scenario.Result] = []
    for number in range(chosen.runs):
        for kind in chosen.kinds:
            _say(f'run {number + 1} of {chosen.runs}: {kind}')
            runs.append(measure(kind, chosen.io_timeout))
            _keep(runs, RESULTS / 'fence-runs.json')
    report('fence', 'seconds', cases(runs))
    return 0


if __name__ == '__main__':
    sys.exit(main())
