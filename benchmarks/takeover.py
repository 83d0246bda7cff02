# SPDX-License-Identifier: Apache-2.0
"""Takeover of the access address: the HA agent beside keepalived.

Five nodes and two clients in network namespaces.  Each client polls the
address every 10 ms and captures what comes back; only the captured packets
are judged.  Two numbers for each fault: the longest time without an answer
at the client that is not cut off, and the time in which two machines
answered for the address on either side of a cut.  A hole that is still open
at the end of the window counts up to there.

A whole run takes long: --cases and --systems choose a part of it, and what is
chosen replaces its like in the results. Ours and a peer are only compared if
one run had both.
"""

import argparse
from collections.abc import Callable
import dataclasses
import itertools
import json
import os
from pathlib import Path
import signal
import statistics
import sys
import time
from typing import Any

from benchmarks import plot
from benchmarks import takeover_peers
from tests.functional.ha import judge
from tests.functional.ha import lab as labs

RESULTS = Path(__file__).parent / 'results' / 'takeover.json'
#: Who is drawn beside whom.
PAIRS = (('ours fast', 'keepalived 0.1 s'), ('ours default', 'keepalived 1 s'))
#: Seconds of watching after the fault, and after it was taken back.
WINDOW, AFTER = 2.5, 2.0
#: The same of a system that needs longer to take over.
LONG_WINDOW = 4.5

SYSTEMS: dict[str, Callable[[], Any]] = {
    'ours fast': lambda: takeover_peers.Ours('fast'),
    'ours default': lambda: takeover_peers.Ours('default'),
    'keepalived 0.1 s': lambda: takeover_peers.Keepalived(0.1),
    'keepalived 1 s': lambda: takeover_peers.Keepalived(1),
    'keepalived 0.1 s, refresh': lambda: takeover_peers.Keepalived(
        0.1, 'vrrp_garp_master_refresh 1'),
}


@dataclasses.dataclass
class Fault:
    """What is done to the holder, and how it is taken back."""

    do: Callable[[Any, Any], None]
    undo: Callable[[Any, Any], None]
    needs: str = ''
    heal_counts: bool = False


def _cut(kind: str) -> Callable[[Any, Any], None]:
    def cut(system: Any, node: Any) -> None:
        one = [node.name] + ([] if kind else ['c2'])
        rest = [n.name for n in system.nodes if n is not node]
        system.switch.cut(one, rest + ([] if kind else ['c1']),
                          system.cuts[kind])
    return cut


def _heal(system: Any, node: Any) -> None:
    system.switch.heal()


def _send(number: signal.Signals) -> Callable[[Any, Any], None]:
    return lambda system, node: system.signal(node, number)


def _restart(system: Any, node: Any) -> None:
    system.restart(node)


def _restart_if_dead(system: Any, node: Any) -> None:
    process = getattr(node, 'process', None)
    if process is not None:
        system.restart(node)


FAULTS = {
    'node killed': Fault(lambda s, n: s.die(n), lambda s, n: s.boot(n)),
    'agent killed': Fault(_send(signal.SIGKILL), _restart),
    'agent frozen': Fault(_send(signal.SIGSTOP), _send(signal.SIGCONT),
                          heal_counts=True),
    'link cut': Fault(lambda s, n: s.switch.link(n.space, False),
                      lambda s, n: s.switch.link(n.space, True),
                      heal_counts=True),
    'graceful stop': Fault(_send(signal.SIGTERM), _restart),
    'switch asked for': Fault(lambda s, n: s.move(n), _restart_if_dead),
    'full partition': Fault(_cut(''), _heal, heal_counts=True),
    'cut from peers only': Fault(_cut('peers'), _heal, 'peers',
                                 heal_counts=True),
    'cut from etcd only': Fault(_cut('etcd'), _heal, 'etcd',
                                heal_counts=True),
}


def explain(system: Any, seen: list[judge.Seen], begin: float,
            end: float) -> None:
    """Print what the agents noted, relative to the fault, and the holes."""
    noted = [(entry['time'], node.name, entry) for node in system.nodes
             if hasattr(node, 'history') for entry in node.history()]
    for at, name, entry in sorted(noted, key=lambda n: n[0]):
        if begin - 0.2 <= at <= end:
            rest = {k: v for k, v in entry.items()
                    if k not in ('time', 'event', 'role')}
            print(f'    {at - begin:+.4f} {name} {entry["event"]} {rest}')
    echoes = [s for s in seen if s.echo and begin <= s.time <= end]
    for one, two in itertools.pairwise(echoes):
        if two.time - one.time > 0.025:
            print(f'    hole {one.time - begin:+.4f} .. '
                  f'{two.time - begin:+.4f} ({one.mac} -> {two.mac})')


def once(system: Any, fault: Fault,
         trace: bool = False) -> tuple[float, float]:
    """Inject the fault once; returns (hole, held twice) in seconds."""
    holder = (system.outside_etcd() if fault.needs == 'etcd'
              else system.settled())
    clients = [judge.Client(space, f'10.77.0.{200 + i}', labs.ADDRESS)
               for i, space in enumerate(system.clients, 1)]
    try:
        time.sleep(0.7)
        begin = time.time()
        fault.do(system, holder)
        window = LONG_WINDOW if system.slow else WINDOW
        time.sleep(max(0.0, begin + window - time.time()))
        end = time.time()
        if fault.heal_counts:
            fault.undo(system, holder)
            time.sleep(AFTER)
            end = time.time()
    finally:
        for client in clients:
            client.stop()
    near = clients[0].seen()
    if trace:
        explain(system, near, begin, end)
    twice = judge.held_twice(
        near + clients[1].seen(), begin - 0.5, end)
    if not fault.heal_counts:
        fault.undo(system, holder)
    return judge.hole(near, begin, end), twice


def measure(name: str, cases: list[str], runs: int,
            keep: Callable[[str, str, dict[str, Any]], None],
            trace: bool) -> None:
    """Run every case on one system; keep what was found after each."""
    with SYSTEMS[name]() as system:
        for case in cases:
            fault = FAULTS[case]
            if fault.needs not in system.cuts:
                continue
            pairs = [once(system, fault, trace) for _ in range(runs)]
            found = {'hole': [round(p[0], 4) for p in pairs],
                     'twice': [round(p[1], 4) for p in pairs],
                     'load': round(os.getloadavg()[0], 1)}
            print(f'{name:26} {case:20} hole {spread(found["hole"])}  '
                  f'twice {spread(found["twice"])}  '
                  f'(load {found["load"]})', flush=True)
            keep(name, case, found)


def spread(numbers: list[float]) -> str:
    """Minimum, median and maximum."""
    return '/'.join(f'{n:.3f}' for n in (
        min(numbers), statistics.median(numbers), max(numbers)))


def cases_of(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Pair ours with each peer of the same run, hole and time held twice."""
    cases = []
    for ours in (n for n in found if n.startswith('ours')):
        for peer in (n for n in found if not n.startswith('ours')):
            for case, numbers in found[ours].items():
                if found[peer].get(case, {}).get('run') != numbers['run']:
                    continue
                for what in ('hole', 'twice'):
                    mine, theirs = numbers[what], found[peer][case][what]
                    median = statistics.median(mine)
                    cases.append({
                        'case': f'{ours}: {case}, {what}', 'ours': mine,
                        'peer': theirs, 'peer_name': peer,
                        'ratio_median': round(statistics.median(theirs)
                                              / median, 2)
                        if median else None})
    return cases


class Results:
    """The results' file; a case that was measured anew replaces the old."""

    def __init__(self) -> None:
        self.run = time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())
        self.alone: dict[str, dict[str, Any]] = {}
        if RESULTS.exists():
            self.alone = json.loads(RESULTS.read_text())['alone']

    def keep(self, system: str, case: str, found: dict[str, Any]) -> None:
        """Put one case into the file."""
        self.alone.setdefault(system, {})[case] = {'run': self.run, **found}
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps({
            'unit': 's', 'cases': cases_of(self.alone),
            'alone': self.alone}, indent=1) + '\n')
        self.draw()

    def draw(self) -> None:
        """Draw ours beside each peer that shares runs with it."""
        for ours, peer in PAIRS:
            mine, theirs = (self.alone.get(n, {}) for n in (ours, peer))
            rows = [case for case in FAULTS if mine.get(case, {}).get('run')
                    == theirs.get(case, {}).get('run', '')]
            if rows:
                plot.strips(
                    RESULTS.with_name(
                        'takeover_' + ours.split()[1] + '.svg'), rows,
                    {label: {name: [found[case][what] for case in rows]
                             for name, found in ((ours, mine),
                                                 (peer, theirs))}
                     for label, what in (
                         ('longest hole seen by a client, s', 'hole'),
                         ('address held twice, s', 'twice'))},
                    title=f'Takeover: {ours} beside {peer}',
                    subtitle='five nodes; each dot is a run, the stroke is '
                             'the median; shorter is better')


def main() -> int:
    """Measure, print, and keep the results."""
    parser = argparse.ArgumentParser(prog='benchmarks/run takeover')
    parser.add_argument('--runs', type=int, default=10)
    parser.add_argument('--systems', default='ours fast,keepalived 0.1 s,'
                        'ours default,keepalived 1 s')
    parser.add_argument('--cases', default=','.join(FAULTS))
    parser.add_argument('--trace', action='store_true',
                        help='print what the agents noted around each fault')
    options = parser.parse_args()
    known = Results()
    for name in options.systems.split(','):
        measure(name, options.cases.split(','), options.runs, known.keep,
                options.trace)
    twice = sum(sum(n['twice']) for name, cases in known.alone.items()
                if name.startswith('ours') for n in cases.values())
    print(f'ours held twice in all runs together: {twice:.3f} s')
    return 1 if twice else 0


if __name__ == '__main__':
    sys.exit(main())
