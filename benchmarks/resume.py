# SPDX-License-Identifier: Apache-2.0
"""What a dead storage node costs: with the journal beside stock Cinder.

Three storage nodes, two Ceph clusters, one of the nodes is killed. Both sides
get the same requests and the same kill, and nobody helps either of them.

* ``stream``: mixed requests all the time. How many of those accepted came to
  what was asked for, and how much longer than usual they took.
* ``burst``: so many creates in flight at the death; time to the last's end.
* ``price``: creates a second in normal running.

Results of several calls add up in the JSON file: each call replaces its own
cases.
"""

import argparse
from collections.abc import Callable
from concurrent import futures
import contextlib
import json
from pathlib import Path
import secrets
import statistics
import tempfile
import time
from typing import Any

from benchmarks import report
from devstack.sandbox.sandbox import Sandbox
from devstack.sandbox.settings import BACKENDS
from devstack.sandbox.settings import Settings
from tests.functional.resume import base
from tests.functional.resume import stream as stream_mod

CLIENTS = 8
#: Requests that have not ended by then are counted as not fulfilled.
PATIENCE_S = 90
NAMES = {True: 'journal', False: 'stock active/active'}
_ENDED = ('available', 'error')


@contextlib.contextmanager
def cloud(journal: bool, nodes: int = 3) -> Any:
    """Run a sandbox of either kind."""
    state = Path(tempfile.gettempdir(),
                 f'cinder-tagged-bench-{secrets.token_hex(4)}')
    overlays = {'cinder': {'resume': {'dead_after': 3}}} if journal else {}
    with Sandbox.start(Settings(
            state, journal=journal, storage_nodes=nodes,
            backends=BACKENDS[:2], overlays=overlays,
            parts=frozenset(('image',)))) as sandbox:
        yield sandbox


# -- stream -------------------------------------------------------------------

def stream(sandbox: Sandbox, kills: int) -> tuple[list[float], list[float]]:
    """Kill nodes under a stream.

    :returns: of each kill the share that was fulfilled, in percent, and
        of requests in flight the extra seconds, over the usual median of
        their kind, that the fulfilled ones took (patience if not fulfilled)
    """
    image = base.make_image(sandbox.connect())
    stream_mod.PATIENCE_S = PATIENCE_S
    work = stream_mod.Stream(lambda: sandbox.connect('admin'), image,
                             clients=CLIENTS, seed=5)
    shares, extra = [], []
    with work:
        time.sleep(15)
        usual: dict[str, list[float]] = {}
        for request in list(work.requests):
            if request.ended:
                usual.setdefault(request.kind, []).append(request.took)
        for host in list(sandbox.cinder_volume.nodes)[:kills]:
            node = sandbox.cinder_volume.nodes[host]
            seen = len(work.requests)
            in_flight = [r for r in list(work.requests) if not r.ended]
            node.kill()
            time.sleep(25)
            hit = in_flight + work.requests[seen:]
            while not all(r.ended for r in hit):
                time.sleep(0.5)
            shares.append(100 * statistics.mean(r.fulfilled for r in hit))
            extra += [(r.took if r.fulfilled else PATIENCE_S)
                      - statistics.median(usual.get(r.kind, [1.0]))
                      for r in in_flight]
            node.start()
            time.sleep(10)
    return shares, extra


# -- burst --------------------------------------------------------------------

def create_all(sandbox: Sandbox, number: int,
               then: Callable[[], object] = lambda: None) -> list[str]:
    """Ask for volumes from several clients; return their ids."""
    connections = [sandbox.connect('admin') for _ in range(CLIENTS)]

    def one(n: int) -> str:
        return str(connections[n % CLIENTS].block_storage.create_volume(
            size=1).id)

    with futures.ThreadPoolExecutor(CLIENTS) as pool:
        asked = [pool.submit(one, n) for n in range(number)]
        ids = [f.result() for f in asked]
    then()
    return ids


def statuses(sandbox: Sandbox, ids: list[str]) -> list[str]:
    """Return the status of each volume, from the database."""
    rows = dict(sandbox.database.execute(
        'SELECT id, status FROM volumes WHERE NOT deleted',
        database='cinder'))
    return [rows[i] for i in ids]


def burst(sandbox: Sandbox, number: int) -> tuple[float, float]:
    """Kill a node with creates in flight.

    :returns: seconds to the end of the last, and percent fulfilled
    """
    # Held back while they are asked for, so that all are in flight.
    nodes = sandbox.cinder_volume.nodes
    host = next(iter(nodes))
    for node in nodes.values():
        node.pause()
    try:
        ids = create_all(sandbox, number)
    finally:
        for node in nodes.values():
            node.resume()
    nodes[host].kill()
    began = time.monotonic()
    limit = began + PATIENCE_S + number
    while time.monotonic() < limit:
        if all(s in _ENDED for s in statuses(sandbox, ids)):
            break
        time.sleep(0.2)
    took = time.monotonic() - began
    found = statuses(sandbox, ids)
    nodes[host].start()
    base.wait_until(lambda: sandbox.cinder_volume._all_up(host), 120,
                    f'{host} up')
    return took, 100 * found.count('available') / len(ids)


# -- price --------------------------------------------------------------------

def throughput(sandbox: Sandbox, number: int) -> float:
    """Return creates per second, from the first request to the last end."""
    began = time.monotonic()
    ids = create_all(sandbox, number)
    while not all(s in _ENDED for s in statuses(sandbox, ids)):
        time.sleep(0.05)
    took = time.monotonic() - began
    cinder = sandbox.connect().block_storage
    for volume in ids:
        cinder.delete_volume(volume)
    base.wait_until(lambda: not set(ids) & {
        i for (i,) in sandbox.database.execute(
            'SELECT id FROM volumes WHERE NOT deleted', database='cinder')},
        300, 'volumes deleted')
    return number / took


# -- all ----------------------------------------------------------------------

def _keep(cases: list[report.Case]) -> None:
    """Write these cases beside those of earlier calls."""
    path = report.RESULTS / 'resume.json'
    before = json.loads(path.read_text())['cases'] if path.exists() else []
    new = {case.case for case in cases}
    kept = [report.Case(c['case'], c['ours'], c['peer'], c['peer_name'])
            for c in before if c['case'] not in new]
    report.report('resume', 'see each case', [*kept, *cases],
                  less_is_better=False)


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('what', choices=('stream', 'burst', 'price'))
    parser.add_argument('--kills', type=int, default=2)
    parser.add_argument('--numbers', type=int, nargs='*',
                        default=[50, 150, 500])
    parser.add_argument('--runs', type=int, default=5)
    arguments = parser.parse_args()
    found: dict[str, dict[bool, list[float]]] = {}

    def note(case: str, journal: bool, *values: float) -> None:
        found.setdefault(case, {True: [], False: []})[journal] += values
        print(NAMES[journal], case, [round(v, 1) for v in values], flush=True)

    for journal in (True, False):
        with cloud(journal) as sandbox:
            if arguments.what == 'stream':
                shares, extra = stream(sandbox, arguments.kills)
                note('fulfilled after a kill, percent', journal, *shares)
                note('extra seconds of those in flight', journal, *extra)
            elif arguments.what == 'burst':
                for number in arguments.numbers:
                    took, share = burst(sandbox, number)
                    note(f'{number} in flight, seconds to the last',
                         journal, took)
                    note(f'{number} in flight, percent fulfilled', journal,
                         share)
            else:
                throughput(sandbox, 20)  # warms up
                for _ in range(arguments.runs):
                    note('creates per second', journal,
                         throughput(sandbox, 60))
    _keep([report.Case(case, values[True], values[False], NAMES[False])
           for case, values in found.items()])


if __name__ == '__main__':
    main()
