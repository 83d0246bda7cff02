# SPDX-License-Identifier: Apache-2.0
"""What a dead storage node costs: with the journal beside stock Cinder.

Three storage nodes in one active/active cluster over two Ceph clusters.

* ``stream``: mixed requests all the time, nodes are killed; both sides get
  the same stream and the same kills, and the killed node is started again.
  With the journal the command runs that the HA agents run when they miss a
  node, after the time that this takes them. How many of those accepted came
  to what was asked for, and how much longer than usual those took that were
  in flight.
* ``burst``: so many creates in flight when a node dies; time to the last's
  end.
* ``price``: creates a second in normal running, with the journal and
  without it, in turns.
"""

import argparse
from collections.abc import Iterator
from concurrent import futures
import contextlib
import json
from pathlib import Path
import secrets
import statistics
import subprocess
import sys
import tempfile
import time

from benchmarks import plot
from benchmarks import report
from devstack.sandbox.process import wait_until
from devstack.sandbox.sandbox import Sandbox
from devstack.sandbox.settings import BACKENDS
from devstack.sandbox.settings import Settings
from tests.functional.resume import base
from tests.functional.resume import stream as streams

CLIENTS = 8
STREAM_CLIENTS = 5
#: Requests that have not ended by then are counted as not fulfilled.
PATIENCE_S = 60
STOCK = 'stock active/active'
_ENDED = ('available', 'error')
_DEADLINE_S = 600
#: From the death of a node to the command of the HA agents ("bury").
_MISSED_AFTER_S = 2.0


@contextlib.contextmanager
def cloud(*, journal: bool, stock: bool = False, nodes: int = 3,
          dead_after: float = 10, down_time: int = 30) -> Iterator[Sandbox]:
    """Run a sandbox of one kind.

    :param down_time: seconds of silence after which Cinder's scheduler
        takes a service for dead
    """
    state = Path(tempfile.gettempdir(),
                 f'cinder-tagged-bench-{secrets.token_hex(4)}')
    overlays = {'cinder': {
        # Hundreds of empty volumes fit on small clusters.
        'backend_defaults': {'max_over_subscription_ratio': 1000},
        'DEFAULT': {'service_down_time': down_time},
        **({'resume': {'dead_after': dead_after}} if journal else {})}}
    with Sandbox.start(Settings(
            state, journal=journal, stock=stock, storage_nodes=nodes,
            backends=BACKENDS[:2], overlays=overlays,
            parts=frozenset(('image',)))) as sandbox:
        yield sandbox


def take_over(sandbox: Sandbox, host: str) -> None:
    """Run the command that the HA agents run for a dead node."""
    subprocess.run(
        [sys.executable, '-W', 'ignore', '-m', 'cinder_tagged.resume.cli',
         '--config-file', sandbox.layout.state / 'cinder' / 'cinder.conf',
         'takeover', '--host', host], check=True, timeout=_DEADLINE_S,
        stdout=subprocess.DEVNULL)


# -- stream -------------------------------------------------------------------

def stream(sandbox: Sandbox, kills: int) -> tuple[list[float], list[float]]:
    """Kill nodes under a stream, and start each again later.

    :returns: of each kill the share that was fulfilled, in percent, of what
        was in flight or came in the next seconds; and of those in flight the
        seconds beyond the usual median of their kind (the patience for one
        that was not fulfilled)
    """
    work = streams.Stream(
        lambda: sandbox.connect('admin'), base.make_image(sandbox.connect()),
        clients=STREAM_CLIENTS, seed=5)
    shares, extra = [], []
    with work:
        time.sleep(20)
        usual: dict[str, list[float]] = {}
        for request in list(work.requests):
            if request.ended:
                usual.setdefault(request.kind, []).append(request.took)
        for number in range(kills):
            hosts = list(sandbox.cinder_volume.nodes)
            host = hosts[number % len(hosts)]
            node = sandbox.cinder_volume.nodes[host]
            seen = len(work.requests)
            flying = [r for r in list(work.requests) if not r.ended]
            node.kill()
            if sandbox.settings.journal:
                time.sleep(_MISSED_AFTER_S)
                take_over(sandbox, host)
            time.sleep(20)
            hit = flying + work.requests[seen:]
            _until_ended(hit)
            shares.append(100 * statistics.mean(r.fulfilled for r in hit))
            extra += [(r.took if r.fulfilled else PATIENCE_S)
                      - statistics.median(usual.get(r.kind, [1.0]))
                      for r in flying]
            node.start()
            wait_until(lambda h=host: sandbox.cinder_volume._all_up(h),
                       _DEADLINE_S, f'{host} up')
    print(f'{"journal" if sandbox.settings.journal else STOCK}: '
          f'{len(work.requests)} requests, '
          f'{len(work.unfulfilled())} not fulfilled, '
          f'{len(work.refused)} refused', flush=True)
    return shares, extra


def _until_ended(requests: list[streams.Request]) -> None:
    wait_until(lambda: all(r.ended for r in requests), 3 * PATIENCE_S,
               'every request has ended')


def measure_stream(kills: int) -> None:
    """Measure both under the same stream and the same kills.

    One after the other: twelve volume services at once would measure the
    processors.
    """
    streams.PATIENCE_S = PATIENCE_S
    with cloud(journal=True) as sandbox:
        ours = stream(sandbox, kills)
    with cloud(journal=False, stock=True) as sandbox:
        peer = stream(sandbox, kills)
    _keep('resume', '% of accepted requests that came to what was asked',
          [report.Case('three nodes, one killed', ours[0], peer[0], STOCK)],
          less_is_better=False)
    _keep('resume_delay', 's beyond the usual median, of requests in flight '
          f'at the kill; {PATIENCE_S} s where one was not fulfilled',
          [report.Case('three nodes, one killed', ours[1], peer[1], STOCK)])


# -- burst --------------------------------------------------------------------

def create_all(sandbox: Sandbox, number: int) -> list[str]:
    """Ask for volumes from several clients; return their ids."""
    connections = [sandbox.connect('admin') for _ in range(CLIENTS)]

    def one(n: int) -> str:
        return str(connections[n % CLIENTS].block_storage.create_volume(
            size=1).id)

    with futures.ThreadPoolExecutor(CLIENTS) as pool:
        return list(pool.map(one, range(number)))


def left(sandbox: Sandbox, ids: list[str]) -> int:
    """Return how many volumes are not finished, from the database."""
    rows = dict(sandbox.database.execute(
        'SELECT id, status FROM volumes WHERE NOT deleted',
        database='cinder'))
    return sum(rows[i] not in _ENDED for i in ids)


def burst(sandbox: Sandbox, number: int, *, kill: bool) -> float:
    """Return the seconds to the end of the last of so many creates.

    :param kill: one of the three nodes dies as they begin, and the command
        says so that the HA agent would run
    """
    # Held back while they are asked for, so that all are in flight.
    nodes = sandbox.cinder_volume.nodes
    for node in nodes.values():
        node.pause()
    try:
        ids = create_all(sandbox, number)
    finally:
        for node in nodes.values():
            node.resume()
    # Each has taken its share off the bus by then.
    time.sleep(1)
    host = next(iter(nodes))
    began = time.monotonic()
    if kill:
        nodes[host].kill()
        take_over(sandbox, host)
    wait_until(lambda: not left(sandbox, ids), _DEADLINE_S, 'all ended')
    took = time.monotonic() - began
    failed = sandbox.database.execute(
        "SELECT COUNT(*) FROM volumes WHERE status = 'error'",
        database='cinder')[0][0]
    print(f'{number} in flight, {"one node killed" if kill else "no fault"}: '
          f'{took:.1f} s, {failed} failed', flush=True)
    if failed:
        raise SystemExit('not every request came to what was asked: '
                         + _reason(sandbox))
    nodes[host].start()
    wait_until(lambda: base.node_up(sandbox, host), _DEADLINE_S,
               f'{host} up')
    return took


def _reason(sandbox: Sandbox) -> str:
    """The last complaint of the scheduler."""
    log = (sandbox.layout.state / 'log' / 'cinder-scheduler-1.log')
    return next((line for line in reversed(log.read_text().splitlines())
                 if 'ERROR' in line or 'WARNING' in line), 'no complaint')


def _delete(sandbox: Sandbox, ids: list[str]) -> None:
    cinder = sandbox.connect().block_storage
    for volume in ids:
        cinder.delete_volume(volume)
    wait_until(lambda: not set(ids) & {i for (i,) in sandbox.database.execute(
        'SELECT id FROM volumes WHERE NOT deleted', database='cinder')},
        _DEADLINE_S, 'volumes deleted')


def measure_burst(numbers: list[int], runs: int, *, add: bool) -> None:
    """Measure each number with a death, and beside it without.

    :param add: to the runs of an earlier measurement; one takes minutes
    """
    for run in range(runs):
        cases = {number: report.Case(f'{number} creates in flight', [], [],
                                     'the same without a death')
                 for number in numbers}
        # A new cloud each time: the last one's volumes slow its database.
        # Its services are held while it is asked for volumes.
        with cloud(journal=True, dead_after=0, down_time=600) as sandbox:
            burst(sandbox, 20, kill=False)  # warms up
            for number, case in cases.items():
                for kill in (True, False) if run % 2 else (False, True):
                    took = burst(sandbox, number, kill=kill)
                    (case.ours if kill else case.peer).append(took)
        # Kept after each: a long one may be broken off.
        _keep('resume_burst', 's until the last of them has ended',
              list(cases.values()), add=add or run > 0)
        draw()


def draw() -> None:
    """Plot how the time grows with the number in flight."""
    cases = json.loads((report.RESULTS / 'resume_burst.json').read_text())[
        'cases']
    cases.sort(key=lambda case: int(case['case'].split()[0]))
    plot.growth(
        report.RESULTS / 'resume_burst.svg',
        [int(case['case'].split()[0]) for case in cases],
        {'one of three nodes dies': [case['ours'] for case in cases],
         'no fault': [case['peer'] for case in cases]},
        title='Creates in flight when a storage node dies',
        subtitle='Time until the last of them has ended; all came to what '
                 'was asked for.',
        x_label='creates in flight', y_label='seconds')


# -- price --------------------------------------------------------------------

def throughput(sandbox: Sandbox, number: int) -> float:
    """Return creates per second, from the first request to the last end."""
    began = time.monotonic()
    ids = create_all(sandbox, number)
    while left(sandbox, ids):
        time.sleep(0.05)
    took = time.monotonic() - began
    _delete(sandbox, ids)
    return number / took


def measure_price(runs: int, number: int) -> None:
    """Measure with the journal and without it, in turns."""
    with cloud(journal=True, nodes=1) as ours, \
            cloud(journal=False, nodes=1) as peer:
        for sandbox in (ours, peer):
            throughput(sandbox, number // 3)  # warms up
        case = report.Case('creates of empty volumes', [], [],
                           'the same without the journal')
        for run in range(runs):
            # Whoever is first finds the machine as the other left it.
            for name in ('ours', 'peer') if run % 2 else ('peer', 'ours'):
                rate = throughput(ours if name == 'ours' else peer, number)
                getattr(case, name).append(rate)
                print(f'{name}: {rate:.2f} /s', flush=True)
    _keep('resume_price', 'creates per second', [case],
          less_is_better=False)


# -- all ----------------------------------------------------------------------

def _keep(name: str, unit: str, cases: list[report.Case], *,
          less_is_better: bool = True, add: bool = False) -> None:
    report.report(name, unit, report.merged(name, cases, add=add),
                  less_is_better=less_is_better)


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('what', choices=('stream', 'burst', 'price'),
                        nargs='*', default=['stream', 'burst', 'price'])
    parser.add_argument('--kills', type=int, default=5)
    parser.add_argument('--numbers', type=int, nargs='*',
                        default=[50, 100, 200, 500])
    parser.add_argument('--runs', type=int, default=7)
    parser.add_argument('--bursts', type=int, default=5)
    parser.add_argument('--creates', type=int, default=60)
    parser.add_argument('--add', action='store_true',
                        help='add bursts to those measured before')
    arguments = parser.parse_args()
    if 'stream' in arguments.what:
        measure_stream(arguments.kills)
    if 'burst' in arguments.what:
        measure_burst(arguments.numbers, arguments.bursts, add=arguments.add)
    if 'price' in arguments.what:
        measure_price(arguments.runs, arguments.creates)


if __name__ == '__main__':
    main()
