# SPDX-License-Identifier: Apache-2.0
"""Disks from an image of another cluster, and moving between clusters.

The tagged driver beside Cinder's RBD driver, on the same real clusters, on
the level of the driver. What stands in for Glance reads the image from the
first cluster as Glance's RBD store does and hands it over in memory: the
peer's download costs no HTTP here. The clusters' stores lie in memory if
there is room; the peer's temporary files lie on disk, as they do in service.
"""

import argparse
from collections.abc import Callable
from collections.abc import Iterator
from concurrent import futures
import contextlib
import functools
import logging
from pathlib import Path
import random
import shutil
import tempfile
import time
from typing import Any
import uuid

from cinder import context
from cinder import privsep
from cinder.volume import volume_utils
from os_brick.initiator import linuxrbd
from oslo_config import cfg
import rbd

from benchmarks import report
from cinder_tagged.copy import ledger
from devstack.sandbox.ceph import CephCluster
from devstack.sandbox.ceph import start_all
from tests.functional import cinder_driver

MiB, GiB = 1 << 20, 1 << 30
MEMORY = Path('/dev/shm')
ROOM = 16 * GiB
GLANCE_CHUNK = 8 * MiB
PEER = 'stock RBD'
BURST = 20
DESTINATIONS = ('b', 'c', 'd')


class Images:
    """Images on a cluster, and what Cinder sees of Glance."""

    #: Cinder's own note of temporary copies, on its image service.
    temp_images: Any = None

    def __init__(self, cluster: CephCluster) -> None:
        self.cluster = cluster
        self.sizes: dict[str, int] = {}

    def make(self, name: str, size: int, data_mib: int) -> None:
        """Make an image with so many MiB of data in 4 MiB pieces."""
        self.sizes[name] = size
        rand = random.Random(1)
        with self.cluster.ioctx('images') as ioctx:
            rbd.RBD().create(ioctx, name, size)
            with rbd.Image(ioctx, name) as image:
                for piece in rand.sample(range(size // (4 * MiB)),
                                         data_mib // 4):
                    image.write(rand.randbytes(4 * MiB), piece * 4 * MiB)
                image.create_snap('snap')

    def location(self, name: str) -> tuple[str, None]:
        """Return the address of an image."""
        return f'rbd://{self.cluster.fsid}/images/{name}/snap', None

    def meta(self, name: str, image_id: str) -> dict[str, Any]:
        """Return what Glance says of it, under a new id if you like."""
        return {'id': image_id, 'disk_format': 'raw',
                'container_format': 'bare', 'size': self.sizes[name],
                'os_hash_value': name, 'properties': {}}

    def show(self, _context: Any, image_id: str) -> dict[str, Any]:
        """Be the image service of the peer, where the id is the name."""
        return self.meta(image_id, image_id)

    def download(self, _context: Any, name: str, file: Any) -> None:
        """Give the data as Glance's RBD store reads it."""
        with self.cluster.ioctx('images', 'glance') as ioctx, rbd.Image(
                ioctx, name, snapshot='snap', read_only=True) as image:
            for offset in range(0, self.sizes[name], GLANCE_CHUNK):
                file.write(image.read(offset, min(
                    GLANCE_CHUNK, self.sizes[name] - offset)))


class Bench:
    """Clusters with both drivers on each, and what was measured."""

    def __init__(self, place: Path, runs: int) -> None:
        self.runs = runs
        self.clusters = {
            name: CephCluster(place / name, name=name)
            for name in ('a', *DESTINATIONS)}
        start_all(self.clusters.values())
        self.images = Images(self.clusters['a'])
        self.admin = context.get_admin_context()
        options = {'rados_connect_timeout': 30}
        stanzas = {}
        for name, cluster in self.clusters.items():
            stanzas[f'ours-{name}'] = cinder_driver.options_of(
                cluster, feature_tags=name, **options)
            stanzas[f'peer-{name}'] = cinder_driver.options_of(
                cluster, volume_driver=cinder_driver.STOCK, **options)
        cinder_driver.write_conf(place / 'cinder.conf', stanzas)
        self._temporary = tempfile.TemporaryDirectory()
        cfg.CONF.set_override('image_conversion_dir', self._temporary.name)
        self.drivers = {name: cinder_driver.make_driver(name)
                        for name in stanzas}
        for driver in self.drivers.values():
            cinder_driver.set_up(driver)
        self.cases: list[report.Case] = []

    def close(self) -> None:
        """Stop everything."""
        for name, driver in self.drivers.items():
            if name.startswith('ours'):
                driver.close()
        for cluster in self.clusters.values():
            cluster.stop()
        self._temporary.cleanup()

    def add(self, case: str, ours: list[float], peer: list[float]) -> None:
        """Take down a case; the lists may grow later.

        What there is counts, also if the measurement is broken off.
        """
        self.cases.append(report.Case(case, ours, peer, PEER))

    # -- what is measured ---------------------------------------------------

    def ours(self, where: str, name: str, image_id: str,
             size: int) -> Any:
        """Make a disk our way."""
        volume = cinder_driver.volume(size)
        _update, cloned = self.drivers[f'ours-{where}'].clone_image(
            self.admin, volume, self.images.location(name),
            self.images.meta(name, image_id), None)
        if not cloned:
            raise RuntimeError('not cloned')
        return volume

    def peer(self, where: str, name: str, size: int) -> Any:
        """Make a disk as the volume manager does with the stock driver."""
        volume = cinder_driver.volume(size)
        driver = self.drivers[f'peer-{where}']
        meta = self.images.meta(name, name)
        if driver.clone_image(self.admin, volume,
                              self.images.location(name), meta, None)[1]:
            raise RuntimeError('cloned')
        driver.create_volume(volume)
        driver.copy_image_to_volume(self.admin, volume, self.images, name)
        return volume

    def disks(self, label: str, name: str, size: int) -> None:
        """Measure a first and a following disk of an image."""
        first, following, peer = [], [], []
        self.add(f'{label}, first disk', first, peer)
        self.add(f'{label}, following disk', following, peer)
        for _ in range(self.runs):
            image_id = str(uuid.uuid4())
            seconds, one = timed(lambda i=image_id: self.ours(
                'b', name, i, size))
            first.append(seconds)
            seconds, two = timed(lambda i=image_id: self.ours(
                'b', name, i, size))
            following.append(seconds)
            seconds, three = timed(lambda: self.peer('b', name, size))
            peer.append(seconds)
            print(f'  {label}: {first[-1]}, {following[-1]}, {PEER} '
                  f'{seconds} s', flush=True)
            for volume in (one, two):
                self.drivers['ours-b'].delete_volume(volume)
            self.drivers['peer-b'].delete_volume(three)
            self.sweep('b', image_id)

    def sweep(self, where: str, image_id: str) -> None:
        """Remove a seed."""
        self.drivers[f'ours-{where}']._copies.seeds().sweep(gone=[image_id])

    def burst(self, name: str, size: int, runs: int) -> None:
        """Measure many disks at once over three clusters."""
        work = [DESTINATIONS[i % 3] for i in range(BURST)]
        ours, peer = [], []
        self.add(f'{BURST} disks at once over 3 clusters, 512 MiB, 128 MiB '
                 'of data (peer: one by one)', ours, peer)
        for _ in range(runs):
            image_id = str(uuid.uuid4())
            seconds, volumes = timed(functools.partial(
                at_once, self.ours, work, name, image_id, size))
            ours.append(seconds)
            print(f'  ours: {seconds} s', flush=True)
            self.remove('ours', volumes)
            self.count(image_id)
            # Its download uses eventlet's thread pool, which serves one
            # native thread only. On few cores that costs it little.
            seconds, volumes = timed(lambda: [
                (where, self.peer(where, name, size)) for where in work])
            peer.append(seconds)
            self.remove('peer', volumes)
            for where in DESTINATIONS:
                self.sweep(where, image_id)
            print(f'  {PEER}: {seconds} s', flush=True)

    def remove(self, who: str, volumes: list[tuple[str, Any]]) -> None:
        """Delete what was made."""
        for where, volume in volumes:
            self.drivers[f'{who}-{where}'].delete_volume(volume)

    def count(self, image_id: str) -> None:
        """Count the copies on each cluster: one attempt, one seed."""
        for where in DESTINATIONS:
            cluster = self.clusters[where]
            with cluster.ioctx('volumes') as ioctx:
                record = ledger.Ledger(ioctx).read(f'seed-{image_id}').record
            seeds = [image for image in cluster.images()
                     if image.startswith('seed-')]
            if record is None or record.epoch != 1 or len(seeds) != 1:
                raise RuntimeError(f'{where}: {record}, {seeds}')
            print(f'  cluster {where}: one copy, {record.stored} bytes',
                  flush=True)

    def moves(self, size: int, data_mib: int) -> None:
        """Measure moving a volume to another cluster."""
        ours, peer = [], []
        self.add(f'migration, {size} GiB volume with {data_mib} MiB', ours,
                 peer)
        for _ in range(self.runs):
            volume = self.filled(size, data_mib)
            host = {'host': 'host@ours-c', 'capabilities': self.drivers[
                'ours-c'].get_volume_stats(refresh=True)}
            seconds, (moved, _update) = timed(
                lambda v=volume, h=host: self.drivers[
                    'ours-b'].migrate_volume(self.admin, v, h))
            if not moved:
                raise RuntimeError('not moved')
            ours.append(seconds)
            self.drivers['ours-c'].delete_volume(volume)
            volume = self.filled(size, data_mib)
            seconds, _ = timed(lambda v=volume: self.stock_move(v))
            peer.append(seconds)
            print(f'  migration: {ours[-1]}, {PEER} {seconds} s', flush=True)
            self.drivers['peer-c'].delete_volume(volume)

    def filled(self, size: int, data_mib: int) -> Any:
        """Make a volume with data on cluster b."""
        volume = cinder_driver.volume(size)
        volume.status = 'available'
        self.drivers['peer-b'].create_volume(volume)
        rand = random.Random(2)
        with self.clusters['b'].ioctx('volumes') as ioctx, rbd.Image(
                ioctx, volume.name) as image:
            for piece in rand.sample(range(size * 256), data_mib // 4):
                image.write(rand.randbytes(4 * MiB), piece * 4 * MiB)
        return volume

    def stock_move(self, volume: Any) -> None:
        """Do the storage work of Cinder's generic migration."""
        self.drivers['peer-c'].create_volume(volume)
        with self.opened('b', volume) as source, \
                self.opened('c', volume) as target:
            volume_utils.copy_volume(source, target, volume.size * 1024,
                                     '1M')
        self.drivers['peer-b'].delete_volume(volume)

    @contextlib.contextmanager
    def opened(self, where: str, volume: Any) -> Iterator[Any]:
        """Open a volume as os-brick's RBD connector does."""
        conf = str(self.clusters[where].conf)
        client = linuxrbd.RBDClient('cinder', 'volumes', conffile=conf)
        try:
            image = linuxrbd.RBDVolume(client, volume.name)
            handle = linuxrbd.RBDVolumeIOWrapper(linuxrbd.RBDImageMetadata(
                image, 'volumes', 'cinder', conf))
            try:
                yield handle
                handle.flush()
            finally:
                image.close()
        finally:
            client.disconnect()


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return the seconds that work took, and its result."""
    start = time.perf_counter()
    result = work()
    return round(time.perf_counter() - start, 4), result


def at_once(work: Callable[..., Any], where: list[str],
            *arguments: Any) -> list[tuple[str, Any]]:
    """Do work for all places at the same time; return place and result."""
    with futures.ThreadPoolExecutor(len(where)) as workers:
        return list(zip(where, workers.map(
            lambda place: work(place, *arguments), where), strict=True))


def measure(bench: Bench, parts: set[str], burst_runs: int) -> None:
    """Measure the parts that are asked for."""
    if 'small' in parts:
        bench.images.make('small', GiB, 256)
        bench.disks('1 GiB, 256 MiB of data', 'small', 1)
    if 'move' in parts:
        bench.moves(1, 256)
    if 'burst' in parts:
        bench.images.make('half', GiB // 2, 128)
        bench.burst('half', 1, burst_runs)
    if 'sparse' in parts:
        bench.images.make('sparse', 10 * GiB, 256)
        bench.disks('10 GiB sparse, 256 MiB of data', 'sparse', 10)


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--runs', type=int, default=5)
    parser.add_argument('--burst-runs', type=int, default=5)
    parser.add_argument('--part', action='append',
                        choices=('small', 'sparse', 'move', 'burst'),
                        help='measure only this (may be repeated)')
    parser.add_argument('--add', action='store_true',
                        help='add the runs to those in results/images.json')
    arguments = parser.parse_args()
    parts = set(arguments.part or ('small', 'sparse', 'move', 'burst'))
    logging.disable(logging.WARNING)
    privsep.sys_admin_pctxt.set_client_mode(False)
    room = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM
    with tempfile.TemporaryDirectory(
            prefix='cinder-tagged-bench-',
            dir=MEMORY if room else None) as name:
        print(f'four clusters in {name}, {arguments.runs} runs')
        bench = Bench(Path(name), arguments.runs)
        try:
            measure(bench, parts, arguments.burst_runs)
        finally:
            cases = [report.complete(case) for case in bench.cases
                     if case.ours and case.peer]
            if cases:
                report.report('images', 's', report.merged(
                    'images', cases, arguments.add))
            bench.close()


if __name__ == '__main__':
    main()
