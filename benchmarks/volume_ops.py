# SPDX-License-Identifier: Apache-2.0
"""Work on volumes: the tagged driver beside Cinder's RBD driver.

Both work on the same real cluster with the same stanza, in turns, on the
level of the driver: no API, no scheduler, no database. The cluster's store
lies in memory if there is room, so that it is not the disk of this machine
that is measured.
"""

import argparse
from collections.abc import Callable
from collections.abc import Iterator
from concurrent import futures
import contextlib
import logging
from pathlib import Path
import shutil
import tempfile
import time
from typing import Any

from benchmarks import report
from devstack.sandbox.ceph import CephCluster
from tests.functional import cinder_driver

MEMORY = Path('/dev/shm')
ROOM = 4 * 1024 ** 3
AT_ONCE = 8
BURST = 24
# Monitors hold a change back that follows the last one within their interval
# of proposals. Each piece of work begins when that has passed, or the wait of
# the one driver would count for the other.
PAUSE_S = 0.3

Work = Callable[[Any], object]


class Bench:
    """Two drivers, and the time that each took for each kind of work."""

    def __init__(self, ours: Any, peer: Any, runs: int) -> None:
        self.drivers = {'ours': ours, 'peer': peer}
        self.runs = runs
        self.seconds: dict[str, dict[str, list[float]]] = {}

    def measure(self, case: str,
                prepare: Callable[[Any], tuple[Work, Any]]) -> None:
        """Run one case: in each run both, one after the other.

        :param prepare: given a driver, does what is not measured and
            returns the work and its argument
        """
        took = self.seconds[case] = {'ours': [], 'peer': []}
        for run in range(-1, self.runs):
            order = list(self.drivers)
            for who in order if run % 2 else reversed(order):
                work, argument = prepare(self.drivers[who])
                time.sleep(PAUSE_S)
                start = time.perf_counter()
                work(argument)
                end = time.perf_counter()
                if run >= 0:  # the first one only warms up
                    took[who].append((end - start) * 1000)
        print(f'  measured: {case}', flush=True)

    def cases(self) -> list[report.Case]:
        """Return what was measured."""
        return [report.Case(case, took['ours'], took['peer'], 'stock RBD')
                for case, took in self.seconds.items()]


def created(driver: Any) -> Any:
    """Return a volume that is there."""
    volume = cinder_driver.volume()
    driver.create_volume(volume)
    return volume


def with_snapshot(driver: Any) -> tuple[Any, Any]:
    """Return a volume and a snapshot of it."""
    volume = created(driver)
    snapshot = cinder_driver.snapshot(volume)
    driver.create_snapshot(snapshot)
    return volume, snapshot


def clone_of_snapshot(driver: Any) -> tuple[Work, Any]:
    """Prepare a volume from a snapshot."""
    _, snapshot = with_snapshot(driver)
    return (lambda volume: driver.create_volume_from_snapshot(
        volume, snapshot)), cinder_driver.volume()


def clone_of_volume(driver: Any) -> tuple[Work, Any]:
    """Prepare a volume from a volume."""
    source = created(driver)
    return (lambda volume: driver.create_cloned_volume(volume, source)
            ), cinder_driver.volume()


def at_once(work: Work) -> Work:
    """Return the work on many volumes, by several threads."""
    def do(volumes: list[Any]) -> None:
        with futures.ThreadPoolExecutor(AT_ONCE) as workers:
            list(workers.map(work, volumes))
    return do


def run(bench: Bench) -> None:
    """Measure every case."""
    bench.measure('create', lambda driver: (
        driver.create_volume, cinder_driver.volume()))
    bench.measure(f'create {BURST}, {AT_ONCE} at once', lambda driver: (
        at_once(driver.create_volume),
        [cinder_driver.volume() for _ in range(BURST)]))
    bench.measure('snapshot', lambda driver: (
        driver.create_snapshot, cinder_driver.snapshot(created(driver))))
    bench.measure('clone of a snapshot', clone_of_snapshot)
    bench.measure('clone of a volume', clone_of_volume)
    bench.measure('delete a snapshot', lambda driver: (
        driver.delete_snapshot, with_snapshot(driver)[1]))
    bench.measure('delete', lambda driver: (
        driver.delete_volume, created(driver)))
    bench.measure('connection data', lambda driver: (
        lambda volume: driver.initialize_connection(volume, {}),
        created(driver)))
    bench.measure('statistics', lambda driver: (
        driver.get_volume_stats, True))


@contextlib.contextmanager
def directory(where: Path | None) -> Iterator[Path]:
    """Give a directory for the cluster, in memory if there is room."""
    if where is None and MEMORY.is_dir():
        where = MEMORY if shutil.disk_usage(MEMORY).free > ROOM else None
    with tempfile.TemporaryDirectory(
            prefix='cinder-tagged-bench-', dir=where) as name:
        yield Path(name)


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--runs', type=int, default=15)
    parser.add_argument('--directory', type=Path,
                        help='where the cluster keeps its data')
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    with directory(arguments.directory) as place, \
            CephCluster(place / 'ceph', name='bench') as cluster:
        print(f'one cluster in {place}, {arguments.runs} runs of each case')
        same = {'rados_connect_timeout': 30}
        cinder_driver.write_conf(place / 'cinder.conf', {
            'ours': cinder_driver.options_of(cluster, **same),
            'peer': cinder_driver.options_of(
                cluster, volume_driver=cinder_driver.STOCK, **same)})
        ours, peer = map(cinder_driver.make_driver, ('ours', 'peer'))
        try:
            for driver in (ours, peer):
                cinder_driver.set_up(driver)
            bench = Bench(ours, peer, arguments.runs)
            run(bench)
        finally:
            ours.close()
        report.report('volume_ops', 'ms', bench.cases())


if __name__ == '__main__':
    main()
