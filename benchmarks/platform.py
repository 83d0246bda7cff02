# SPDX-License-Identifier: Apache-2.0
"""How long the platform is away: from a fault to the next acknowledged stamp.

Three servers in network namespaces, real Ceph, a container that writes to
its volume; the lab of tests/functional/platform.  No peer is measured: a
container managed by Pacemaker needs a fencing device and a cluster file
system or the like to do the same work, and without them it does less.
"""

import argparse
import json
from pathlib import Path
import statistics

from tests.functional.ha import lab as labs
from tests.functional.platform import lab as platform

RESULTS = Path(__file__).parent / 'results' / 'platform.json'


def faults(lab: platform.PlatformLab) -> dict:
    """(fault, repair) by name."""
    switch = lab.lab.switch
    nodes = lab.lab.nodes

    def others(node: labs.Node) -> list[str]:
        return [n.name for n in nodes if n is not node]

    def ask(node: labs.Node) -> None:
        node.ask(verb='switch', role='control', target=others(node)[0],
                 wait=20)
    return {
        'switch asked for': (ask, lambda node: None),
        'server killed': (lab.die, lambda node: node.boot()),
        'server frozen': (lab.freeze, lab.thaw),
        'cut from Ceph': (
            lambda node: switch.cut([node.name], ['ceph']),
            lambda node: switch.heal()),
        'cut from its peers': (
            lambda node: switch.cut([node.name], others(node)),
            lambda node: switch.heal()),
    }


def run(lab: platform.PlatformLab, name: str) -> float:
    """Seconds between the fault and the first stamp of another server."""
    fault, repair = faults(lab)[name]
    holder = lab.steady()
    before = lab.uptime()
    fault(holder)
    lab.working(before, holder.name)
    back = next(float(w[3]) for w in lab.acked()
                if float(w[3]) > before and w[2] != holder.name)
    repair(holder)
    labs.wait_for(lambda: lab.status(holder).get('row') == 'standing by',
                  'the server stands by')
    wrong = lab.judge(lab.steady())
    if wrong:
        raise SystemExit(f'{name}: {wrong}')
    return round(back - before, 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--runs', type=int, default=5)
    parser.add_argument('--cases', default='')
    arguments = parser.parse_args()
    cases = []
    with platform.PlatformLab() as lab:
        for name in arguments.cases.split(',') if arguments.cases else faults(
                lab):
            times = [run(lab, name) for _ in range(arguments.runs)]
            print(f'{name:20} {min(times):6.2f} / '
                  f'{statistics.median(times):6.2f} / {max(times):6.2f} s '
                  f'({len(times)} runs)', flush=True)
            cases.append({'case': name, 'ours': times, 'peer': [],
                          'peer_name': 'none', 'ratio_median': None})
    RESULTS.write_text(json.dumps(
        {'unit': 's from the fault to the next acknowledged stamp; settle '
                 'time configured: 5.5 s', 'cases': cases}, indent=1) + '\n')


if __name__ == '__main__':
    main()
