# SPDX-License-Identifier: Apache-2.0
"""How long the platform is away: from a fault to the next acknowledged stamp.

Three servers in network namespaces, real Ceph, a container that forces stamps
to its volume; the trials of tests/functional/platform, each judged. Beside
ours the same container on the same volume is managed by Pacemaker, with
fencing by a device that turns a server off.

Each run does all the faults on a new lab of ours, then on a new one of the
peer; only one of the two is there at a time. A stamp lost, two writers or two
containers of ours end the benchmark; of the peer they are counted. A peer that
does not come back in time counts with that time.
"""

import argparse
from collections.abc import Callable
import dataclasses
import json
import os
from pathlib import Path
from typing import Any

from benchmarks import follow_peer
from benchmarks import machine
from benchmarks import report
from tests.functional.platform import faults
from tests.functional.platform import lab as platform

RESULTS = report.RESULTS / 'follow.json'
UNIT = ('s from the fault (of a pause: from its end) to the next '
        'acknowledged stamp')
CASES = faults.NAMES
#: Seconds that the storage is paused; ours has stopped by then.
PAUSE = 20.0
#: As a well-behaved container, this one ends when it is asked to.
WRITER = platform.WRITER.replace('\n', "\ntrap 'exit 0' TERM\n", 1)


@dataclasses.dataclass
class Case:
    """Trials of one fault; those of the same place are of the same run.

    :param others: share of the machine that others had, with each trial
    """

    name: str
    ours: list[float] = dataclasses.field(default_factory=list)
    peer: list[float] = dataclasses.field(default_factory=list)
    others: dict[str, list[float]] = dataclasses.field(
        default_factory=lambda: {'ours': [], 'peer': []})
    #: of the peer: {"run": number from 1, "wrong": [what, ...]}
    wrong: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    #: of the peer: runs in which it was given up
    not_back: list[int] = dataclasses.field(default_factory=list)

    def add(self, side: str, trial: faults.Trial, others: float) -> None:
        """Note a trial of "ours" or the "peer"."""
        numbers = self.ours if side == 'ours' else self.peer
        numbers.append(round(trial.seconds, 2))
        self.others[side].append(round(others, 2))
        if trial.wrong:
            self.wrong.append({'run': len(numbers), 'wrong': trial.wrong})
        if not trial.back:
            self.not_back.append(len(numbers))

    def pairs(self) -> report.Case:
        """The runs that both have done; there may be none."""
        return report.complete(report.Case(
            self.name, self.ours, self.peer, follow_peer.NAME))

    def as_json(self) -> dict[str, Any]:
        """Without a run that only one has done."""
        both = self.pairs()
        return {
            **dataclasses.asdict(both),
            'ratio_median': round(both.ratio(less_is_better=True), 2),
            'peer_wrong': self.wrong, 'peer_not_back': self.not_back,
            'share_of_others': {side: numbers[:len(both.ours)] for
                                side, numbers in self.others.items()},
            'load_1_min': round(os.getloadavg()[0], 2)}

    @staticmethod
    def of_json(found: dict[str, Any]) -> 'Case':
        """What was measured before."""
        return Case(found['case'], found['ours'], found['peer'],
                    found['share_of_others'], found['peer_wrong'],
                    found['peer_not_back'])

    def line(self) -> str:
        """Minimum, median and maximum of both, and what went wrong."""
        both = self.pairs()
        text = (f'{self.name:20} ours {report.spread(both.ours)}   '
                f'{both.peer_name} {report.spread(both.peer)} s   '
                f'ratio {both.ratio(less_is_better=True):.2f} '
                f'({len(both.ours)} runs)')
        if self.not_back:
            text += f'; peer not back in {len(self.not_back)}'
        if self.wrong:
            text += f'; peer wrong in {len(self.wrong)}'
        return text


class Results:
    """The results' file, with what other runs have measured.

    :param add: new runs are added to those of the same case
    """

    def __init__(self, names: list[str], add: bool) -> None:
        self._others = (json.loads(RESULTS.read_text())['cases']
                        if RESULTS.exists() else [])
        known = {old['case']: Case.of_json(old) for old in self._others
                 if add and old['case'] in names and old['peer']}
        self.cases = {name: known.get(name, Case(name)) for name in names}

    def keep(self) -> None:
        """Write what both have done, and leave the rest as it is."""
        ready = {name: case.as_json() for name, case in self.cases.items()
                 if case.pairs().ours}
        if not ready:
            return
        found = {old['case']: old for old in self._others} | ready
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(
            {'unit': UNIT, 'cases': [
                found[name] for name in (*CASES, *(set(found) - set(CASES)))
                if name in found]}, indent=1) + '\n')


class Round:
    """The chosen faults, once, on one side."""

    def __init__(self, results: Results, logs: Path | None) -> None:
        self._results, self._logs = results, logs

    def ours(self) -> None:
        """:raises SystemExit: one went wrong."""
        with platform.PlatformLab(writer=WRITER) as lab:
            trials = faults.Faults(lab, PAUSE)
            for name in self._results.cases:
                trial = self._watched('ours', name, trials.trial)
                if trial.wrong:
                    raise SystemExit(f'{name}: {"; ".join(trial.wrong)}')

    def peer(self) -> None:
        """On a new lab after one that did not get well."""
        names = list(self._results.cases)
        while names:
            with follow_peer.PeerLab(WRITER, self._logs) as lab:
                trials = follow_peer.PeerFaults(lab, PAUSE)
                while names and trials.usable:
                    self._watched('peer', names.pop(0), trials.trial)

    def _watched(self, side: str, name: str,
                 do: Callable[[str], faults.Trial]) -> faults.Trial:
        watch = machine.Watch()
        trial = do(name)
        others = watch.disturbed()
        print(f'  {side} {name:20} {trial.seconds:6.2f} s'
              f'{"" if trial.back else " (given up)"}, others had '
              f'{others:.0%} of the machine'
              + ''.join(f'\n    WRONG: {what}' for what in trial.wrong),
              flush=True)
        if side == 'peer' or not trial.wrong:
            self._results.cases[name].add(side, trial, others)
            self._results.keep()
        return trial


def names_of(text: str) -> list[str]:
    """Cases of the command line; :raises SystemExit: an unknown one."""
    names = text.split(',') if text else list(CASES)
    if unknown := set(names) - set(CASES):
        raise SystemExit(f'no such case: {", ".join(sorted(unknown))}')
    return names


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(
        prog='benchmarks/run follow', description=__doc__.splitlines()[0])
    parser.add_argument('--runs', type=int, default=10)
    parser.add_argument('--cases', default='', help=(
        'names, separated by commas; all by default: ' + ', '.join(CASES)))
    parser.add_argument('--add', action='store_true', help=(
        'add the runs to those of the results'))
    parser.add_argument('--sides', default='ours,peer', choices=(
        'ours,peer', 'ours', 'peer'), help=(
        'to try one of them alone; such runs are not kept'))
    parser.add_argument('--logs', type=Path, help=(
        "directory for the logs of the peer's servers"))
    arguments = parser.parse_args()
    results = Results(names_of(arguments.cases), arguments.add)
    for number in range(1, arguments.runs + 1):
        print(f'run {number} of {arguments.runs}', flush=True)
        both = Round(results, arguments.logs)
        for side in arguments.sides.split(','):
            {'ours': both.ours, 'peer': both.peer}[side]()
    for case in results.cases.values():
        if case.pairs().ours:
            print(case.line(), flush=True)


if __name__ == '__main__':
    main()
