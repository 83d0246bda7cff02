# SPDX-License-Identifier: Apache-2.0
"""What the HA agent costs as the cloud grows.

Real agents in network namespaces for 3, 5 and (with --full) 10 nodes: CPU,
memory and datagrams of each.  The simulator, which runs the same core, for
10, 50 and 200: datagrams and takeover time.  The peer is every node beating
to every other one at the same period.
"""

import argparse
import json
import os
from pathlib import Path
import statistics
import sys
import time
from typing import Any

from benchmarks import report
from cinder_tagged.ha.sim import schedule
from tests.functional.ha import lab as labs

RESULTS = report.RESULTS / 'takeover_cost_agents.json'


def cpu(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    fields = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def memory(pid: int) -> float:
    """Resident memory in MiB."""
    pages = int(Path(f'/proc/{pid}/statm').read_text().split()[1])
    return pages * os.sysconf('SC_PAGE_SIZE') / 2 ** 20


def real(count: int, profile: str, seconds: float) -> dict[str, Any]:
    """Measure idle agents for ``seconds``."""
    with labs.Lab(profile, count) as lab:
        holder = lab.settled()
        time.sleep(2)
        before = [(cpu(n.agent.pid), n.status()['counters']['sent'])
                  for n in lab.nodes if n.agent]
        begin = time.monotonic()
        time.sleep(seconds)
        took = time.monotonic() - begin
        shares, sent = [], []
        for node, (used, out) in zip(lab.nodes, before, strict=True):
            if node.agent is None:
                continue
            shares.append(100 * (cpu(node.agent.pid) - used) / took)
            sent.append((node.status()['counters']['sent'] - out) / took)
        index = lab.nodes.index(holder)
        found = {'nodes': count, 'profile': profile,
                 'cpu_percent_holder': round(shares[index], 1),
                 'cpu_percent_others': round(statistics.median(
                     shares[:index] + shares[index + 1:]), 1),
                 'memory_mib': round(statistics.median(
                     memory(n.agent.pid) for n in lab.nodes if n.agent), 1),
                 'datagrams_per_s': round(statistics.median(sent), 1),
                 'load': round(os.getloadavg()[0], 1)}
    print(found, flush=True)
    return found


def simulated(count: int, seed: int) -> tuple[float, float, float]:
    """(datagrams per s of all nodes, of the busiest, takeover in s)."""
    world = schedule.build(seed, count)
    world.run(6.0)
    sent: dict[str, int] = dict.fromkeys(world.nodes, 0)
    original = world.send

    def send(sender: str, to: str, deliver: Any) -> None:
        sent[sender] += 1
        original(sender, to, deliver)
    world.send = send  # type: ignore[method-assign]
    world.run(8.0)
    name = world.holders('control')[0]
    total, busiest = sum(sent.values()) / 2, max(sent.values()) / 2
    world.nodes[name].power_off()
    begin = world.time
    while not world.holders('control'):
        world.run(world.time + 0.005)
    return total, busiest, world.time - begin


def main() -> int:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(prog='benchmarks/run takeover_cost')
    parser.add_argument('--runs', type=int, default=5)
    parser.add_argument('--full', action='store_true')
    parser.add_argument('--seconds', type=float, default=8)
    options = parser.parse_args()
    cases, agents = [], []
    for count in (5, 10, 50, 200):
        runs = [simulated(count, seed) for seed in range(options.runs)]
        beat = labs_beat()
        mesh = count * (count - 1) / beat
        cases.append(report.Case(
            f'{count} nodes: datagrams per s in all, simulated',
            [r[0] for r in runs], [mesh] * len(runs), 'full mesh'))
        print(f'{count} nodes, simulated: takeover '
              f'{statistics.median(r[2] for r in runs):.3f} s, busiest node '
              f'{statistics.median(r[1] for r in runs):.0f} datagrams/s',
              flush=True)
        agents.append({'nodes': count, 'simulated': True,
                       'takeover_s': [round(r[2], 3) for r in runs],
                       'busiest_datagrams_per_s': [r[1] for r in runs]})
    report.report('takeover_cost', 'datagrams per second', cases)
    for count in (3, 5, 10) if options.full else (3, 5):
        agents.append(real(count, 'default', options.seconds))
    RESULTS.write_text(json.dumps(agents, indent=1) + '\n')
    return 0


def labs_beat() -> float:
    """Period of the beats in these runs."""
    from cinder_tagged.ha.core import timing
    return timing.PROFILES['default'].beat


if __name__ == '__main__':
    sys.exit(main())
