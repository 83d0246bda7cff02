# SPDX-License-Identifier: Apache-2.0
"""How long the platform is away: from a fault to the next acknowledged stamp.

Three servers in network namespaces, real etcd and Ceph, a container that
forces stamps to its volume; the trials of tests/functional/platform, each
judged: a stamp lost, two writers or two containers end the benchmark.

Nothing is measured beside it. A container managed by Pacemaker does the same
work only with a fencing device, and that was not built here.
"""

import argparse
import json
import os
import statistics

from benchmarks import machine
from benchmarks import report
from tests.functional.platform import faults
from tests.functional.platform import lab as platform

RESULTS = report.RESULTS / 'follow.json'
UNIT = ('s from the fault (of a pause: from its end) to the next '
        'acknowledged stamp')


def measure(trials: faults.Faults, name: str, runs: int) -> dict:
    """Do one fault several times; :raises SystemExit: one went wrong."""
    seconds, others = [], []
    for _ in range(runs):
        watch = machine.Watch()
        trial = trials.trial(name)
        if trial.wrong:
            raise SystemExit(f'{name}: {"; ".join(trial.wrong)}')
        seconds.append(round(trial.seconds, 2))
        others.append(round(watch.disturbed(), 2))
    print(f'{name:20} {min(seconds):6.2f} / '
          f'{statistics.median(seconds):6.2f} / {max(seconds):6.2f} s '
          f'({runs} runs; others had up to {max(others):.0%} of the '
          'machine)', flush=True)
    return {'case': name, 'ours': seconds, 'peer': [], 'peer_name': 'none',
            'ratio_median': None, 'share_of_others': others,
            'load_1_min': round(os.getloadavg()[0], 2)}


def keep(case: dict) -> None:
    """Put a case among those that were measured before."""
    known = (json.loads(RESULTS.read_text())['cases']
             if RESULTS.exists() else [])
    known = [old for old in known if old['case'] != case['case']]
    RESULTS.write_text(json.dumps(
        {'unit': UNIT, 'cases': [*known, case]}, indent=1) + '\n')


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--runs', type=int, default=10)
    parser.add_argument('--cases', default='',
                        help='names, separated by commas; all by default')
    arguments = parser.parse_args()
    with platform.PlatformLab() as lab:
        trials = faults.Faults(lab)
        for name in (arguments.cases.split(',') if arguments.cases
                     else trials.names):
            keep(measure(trials, name, arguments.runs))


if __name__ == '__main__':
    main()
