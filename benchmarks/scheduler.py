# SPDX-License-Identifier: Apache-2.0
"""Placements: the tagged host manager beside Cinder's own.

Both run under Cinder's FilterScheduler on the same states. Stock labels
backends by a list in their capabilities and takes its default filters and
weigher. Measured is ``schedule_create_volume`` from the request to the
message for the volume service, by the clock and in time of the processor;
nothing waits for anything here, so that the second is the better number on a
machine that has other work.
"""

import argparse
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence
import itertools
import logging
import statistics
import time
from typing import Any
import warnings

warnings.simplefilter('ignore')

from cinder import exception  # noqa: E402

from benchmarks import clouds  # noqa: E402
from benchmarks import plot  # noqa: E402
from benchmarks import report  # noqa: E402

SIZES = (10, 100, 1_000, 10_000)
#: Requests of one run, by number of backends.
OURS_REQUESTS = 200
STOCK_REQUESTS = {10: 100, 100: 40, 1_000: 8, 10_000: 2}

#: What one request does; it is made beforehand.
Request = Callable[[], object]
#: Makes requests for a scheduler.
Work = Callable[[Any], Request]


def place(tag: str = 'ssd', **values: Any) -> Work:
    """Return work that places one volume."""
    def make(scheduler: Any) -> Request:
        context = clouds.context()
        spec, properties = clouds.request(tag, **values)
        return lambda: scheduler.schedule_create_volume(context, spec,
                                                        properties)
    return make


def refuse(scheduler: Any) -> Request:
    """Ask for what no cluster has."""
    asking = place('tape')(scheduler)

    def request() -> None:
        try:
            asking()
        except exception.NoValidBackend:
            return
        raise AssertionError('there is no tape in this cloud')
    return request


def take_reports(cloud: clouds.Cloud, reports: int, then: Work | None = None,
                 ) -> Work:
    """Return work that takes some reports, and then does something else."""
    turn = itertools.cycle(range(len(cloud.reports)))

    def make(scheduler: Any) -> Request:
        after = then(scheduler) if then else None

        def request() -> None:
            for _ in range(reports):
                cloud.report(scheduler, next(turn))
            if after:
                after()
        return request
    return make


def unseen() -> Work:
    """Return work that never asks the same twice."""
    fresh = itertools.count()
    return lambda scheduler: place(f'ssd & !x{next(fresh)}')(scheduler)


def timed(scheduler: Any, work: Work, number: int,
          ) -> tuple[list[float], list[float]]:
    """Do so many requests.

    :returns: milliseconds of each, by the clock and of the processor
    """
    clouds.configure(scheduler.settings)
    clock, processor = [], []
    for request in [work(scheduler) for _ in range(number)]:
        start, busy = time.perf_counter(), time.thread_time()
        request()
        processor.append((time.thread_time() - busy) * 1000)
        clock.append((time.perf_counter() - start) * 1000)
    return clock, processor


class Bench:
    """Collects cases, each measured in turns on both sides."""

    def __init__(self, runs: int):
        self.runs = runs
        self.clock: list[report.Case] = []
        self.processor: list[report.Case] = []
        self.rates: list[report.Case] = []

    def measure(self, case: str, schedulers: Sequence[Any],
                works: Sequence[Work], numbers: Sequence[int]) -> None:
        """Measure one kind of work.

        :param schedulers: ours and the peer; so are the further ones
        :param numbers: requests of one run
        """
        clock: tuple[list[float], list[float]] = ([], [])
        processor: tuple[list[float], list[float]] = ([], [])
        rates: tuple[list[float], list[float]] = ([], [])
        for run in range(-1, self.runs):
            for side in (0, 1) if run % 2 else (1, 0):
                took, busy = timed(schedulers[side], works[side],
                                   numbers[side] if run >= 0 else 1)
                if run >= 0:  # the first one only warms up
                    clock[side].append(statistics.median(took))
                    processor[side].append(statistics.median(busy))
                    rates[side].append(1000 * len(busy) / sum(busy))
        self.clock.append(report.Case(case, *clock, 'stock'))
        self.processor.append(report.Case(case, *processor, 'stock'))
        self.rates.append(report.Case(case, *rates, 'stock'))
        print(f'  measured: {case}', flush=True)


def growth(bench: Bench, sizes: Iterable[int]) -> None:
    """Measure placements at growing numbers of backends."""
    for size in sizes:
        cloud = clouds.Cloud(size)
        with cloud.scheduler(clouds.OURS) as ours, \
                cloud.scheduler(clouds.STOCK) as stock:
            bench.measure(f'{size:,} backends: one volume', (ours, stock),
                          (place(), place()),
                          (OURS_REQUESTS, STOCK_REQUESTS.get(size, 2)))
    amid = take_reports(cloud, 1, then=place())
    with cloud.scheduler(clouds.OURS) as ours, \
            cloud.scheduler(clouds.STOCK) as stock:
        bench.measure(f'{size:,} backends: one report, then one volume',
                      (ours, stock), (amid, amid), (OURS_REQUESTS, 2))


def variations(bench: Bench, size: int) -> None:
    """Measure other kinds of work, losing ones included."""
    cloud = clouds.Cloud(size)
    name = f'{size:,} backends: '
    two_weighers = clouds.OURS | {'scheduler_default_weighers': [
        'FeatureWeigher', 'CapacityWeigher']}
    source = clouds.Cloud.host(next(
        n for n, each in enumerate(cloud.reports) if 'ssd' in each['labels']))
    clone = place(resource_backend=f'{source}#volumes')
    with cloud.scheduler(clouds.OURS) as ours, \
            cloud.scheduler(clouds.STOCK) as stock, \
            cloud.scheduler(two_weighers) as ordinary:
        both = (ours, stock)
        for case, schedulers, works, numbers in (
                ('an expression over three tags', both,
                 (place('(ssd | nvme) & db & !private'), place()), (200, 8)),
                ('an expression never asked before', both,
                 (unseen(), place()), (50, 8)),
                ('a clone, beside its source', both, (clone, clone),
                 (200, 8)),
                ('one report, then one volume', both,
                 (take_reports(cloud, 1, place()),) * 2, (200, 8)),
                ('every backend reports, then one volume', both,
                 (take_reports(cloud, size, place()),) * 2, (3, 3)),
                ('no cluster matches; ours explains why', both,
                 (refuse, refuse), (20, 8)),
                ('a second weigher, so that all are weighed',
                 (ordinary, stock), (place(), place()), (8, 8)),
                ('a report by itself', both,
                 (take_reports(cloud, 1),) * 2, (500, 500))):
            bench.measure(name + case, schedulers, works, numbers)


def draw(cases: Sequence[report.Case], sizes: Iterable[int]) -> None:
    """Plot how the price of a request grows."""
    plot.growth(
        report.RESULTS / 'scheduler.svg', list(sizes),
        {'cinder-tagged': [c.ours for c in cases],
         'Cinder, stock filters and weigher': [c.peer for c in cases]},
        title='One placement, by number of backends',
        subtitle='time of the processor: median, least and most of '
                 f'{len(cases[0].ours)} runs; about a third of the backends '
                 'match', x_label='backends',
        y_label='milliseconds of the processor')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--runs', type=int, default=5)
    parser.add_argument('--max-backends', type=int, default=max(SIZES))
    args = parser.parse_args()
    logging.disable(logging.CRITICAL)
    sizes = [size for size in SIZES if size <= args.max_backends]
    bench = Bench(args.runs)
    growth(bench, sizes)
    variations(bench, min(1_000, max(sizes)))
    report.report('scheduler', 'ms per request, by the clock', bench.clock)
    report.report('scheduler_cpu', 'ms per request, of the processor',
                  bench.processor)
    report.report('scheduler_rate', 'placements per second of the processor',
                  bench.rates[:len(sizes) + 1], less_is_better=False)
    draw(bench.processor[:len(sizes)], sizes)


if __name__ == '__main__':
    main()
