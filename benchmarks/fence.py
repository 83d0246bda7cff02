# SPDX-License-Identifier: Apache-2.0
"""A node loses its SAN: stock LVM, sanlock and watchdog, and with fencing.

    benchmarks/run fence [--runs N] [--kinds stock watcher kill]
    benchmarks/run fence --table

Each run starts fresh machines and takes three to five minutes, nearly all
of it sanlock's own waiting. Times are seconds after the cut, by the
machines' own clocks. Every run is added to results/fence-runs.json, with
the host's load when the cables were pulled, so that a measurement can be
taken in parts; --fresh begins anew. results/fence.json and the table are
made from all runs there.
"""

import argparse
from collections.abc import Callable
import fcntl
import json
import logging
import os
import statistics
import sys
import time

from benchmarks.report import Case
from benchmarks.report import report
from benchmarks.report import RESULTS
from devstack.fence_lab import scenario
from devstack.fence_lab.lab import IO_TIMEOUT
from devstack.fence_lab.lab import Lab

RUNS = RESULTS / 'fence-runs.json'
# A lab alone brings a host of two processors to a load of 2 to 3.
CROWD = 3.5
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


def load() -> list[scenario.Result]:
    """Return the runs that were measured before."""
    rows = json.loads(RUNS.read_text()) if RUNS.exists() else []
    return [scenario.Result(**row) for row in rows]


def add(run: scenario.Result) -> None:
    """Add a run to those of other parts, which may be under way."""
    RESULTS.mkdir(exist_ok=True)
    turn = os.open(RESULTS, os.O_RDONLY)
    try:
        fcntl.flock(turn, fcntl.LOCK_EX)
        rows = [r.as_dict() for r in [*load(), run]]
        fresh = RUNS.with_suffix('.new')
        fresh.write_text(json.dumps(rows, indent=1) + '\n')
        fresh.replace(RUNS)
    finally:
        os.close(turn)


def _since_loss(name: str) -> Callable[[scenario.Result], float | None]:
    def difference(run: scenario.Result) -> float | None:
        at = getattr(run, name)
        return None if at is None or run.paths_lost is None else (
            at - run.paths_lost)
    return difference


ROWS: dict[str, Callable[[scenario.Result], float | None]] = {
    'last path lost': lambda r: r.paths_lost,
    'node reset': lambda r: r.node_reset,
    'I/O on the volumes ended': lambda r: r.io_ended,
    '  counted from the last path': _since_loss('io_ended'),
    'locks dropped': lambda r: r.locks_dropped,
    '  counted from the last path ': _since_loss('locks_dropped'),
    'other node has the volume': lambda r: r.peer_active,
    'longest gap beside the SAN': lambda r: r.other_gap,
    'blocks written late': lambda r: r.late_blocks,
    'way back (recover)': lambda r: r.recovered,
    'host load at the cut': lambda r: r.load,
}


def alone(run: scenario.Result) -> bool:
    """Whether the host had its processors for this run's machines."""
    return run.load is not None and run.load <= CROWD


def table(runs: list[scenario.Result]) -> str:
    """Return "median (min-max)" by row and kind, of runs that are alike."""
    groups = {
        f'{kind}, {len(found)} {word}': found for kind in KINDS
        for word, found in (
            ('alone', [r for r in runs if r.kind == kind and alone(r)]),
            ('crowded', [r for r in runs if r.kind == kind
                         and not alone(r)])) if found}
    lines = [f'{"seconds after the cut":30}' + ''.join(
        f'{name:>22}' for name in groups)]
    for name, value in ROWS.items():
        cells = [_cell([value(r) for r in group])
                 for group in groups.values()]
        lines.append(f'{name:30}' + ''.join(f'{c:>22}' for c in cells))
    return '\n'.join(lines)


def _cell(values: list[float | None]) -> str:
    known = [v for v in values if v is not None]
    if not known:
        return 'never'
    if len(known) < len(values):
        return f'{len(known)} of {len(values)}'
    low, middle, high = (min(known), statistics.median(known), max(known))
    if low == high:
        return f'{middle:g}'
    return f'{middle:.1f} ({low:.1f}-{high:.1f})'


def main() -> int:
    logging.basicConfig(level=logging.INFO, format='%(message)s')
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--runs', type=int, default=5)
    parser.add_argument('--io-timeout', type=int, default=IO_TIMEOUT)
    parser.add_argument('--kinds', nargs='+', choices=KINDS, default=KINDS)
    parser.add_argument('--fresh', action='store_true')
    parser.add_argument('--table', action='store_true',
                        help='measure nothing, print what was measured')
    chosen = parser.parse_args()
    if chosen.fresh:
        RUNS.unlink(missing_ok=True)
    for number in range(0 if chosen.table else chosen.runs):
        for kind in chosen.kinds:
            _say(f'run {number + 1} of {chosen.runs}: {kind}')
            add(measure(kind, chosen.io_timeout))
    every = load()
    if found := cases([r for r in every if r.io_timeout == IO_TIMEOUT]):
        report('fence', 'seconds', found)
    for io_timeout in sorted({r.io_timeout or 0 for r in every}):
        print(f'\nio_timeout {io_timeout}')
        print(table([r for r in every if r.io_timeout == io_timeout]))
    return 0


if __name__ == '__main__':
    sys.exit(main())
