# SPDX-License-Identifier: Apache-2.0
"""What every upload is made of: hashes and writes, each alone and together.

No Glance, no Cinder, no HTTP: data in memory, one process, one cluster. The
tagged store's hashing and writing stand beside the same calls made one after
the other, as Glance's RBD store makes them. "Hash and write" is the least
time that an upload can take on this machine, whatever carries the data: the
CPU time printed with it, over the number of cores, is a floor under uploads.
"""

import argparse
from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import hashlib
import os
from pathlib import Path
import shutil
import tempfile
import time
from typing import Any

import rbd

from benchmarks import report
from benchmarks import uploads
from devstack.sandbox.ceph import CephCluster
from glance_store_ext import digests
from glance_store_ext import writing

PEER = 'one after the other'
#: What the stores take at a time, and the size of their RADOS objects.
STOCK_CHUNK = 8 * uploads.MIB
IN_FLIGHT = 8


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    """Yield data in chunks, each a copy, as those of a socket are."""
    for begin in range(0, len(data), size):
        yield data[begin:begin + size]


def hashers() -> tuple[Any, Any]:
    """Return the hashes that Glance keeps of an image."""
    return hashlib.md5(usedforsecurity=False), hashlib.sha512()


class Bench:
    """One cluster, and the data."""

    def __init__(self, cluster: CephCluster, data: bytes) -> None:
        self.cluster = cluster
        self.data = data

    @contextlib.contextmanager
    def image(self, chunk: int) -> Iterator[Any]:
        """Make an RBD image as a store does; remove it afterwards."""
        name = f'parts-{chunk}'
        with self.cluster.ioctx('volumes') as ioctx:
            rbd.RBD().create(ioctx, name, len(self.data),
                             order=chunk.bit_length() - 1)
            try:
                with rbd.Image(ioctx, name) as image:
                    yield image
            finally:
                rbd.RBD().remove(ioctx, name)

    def ours(self, image: Any | None, hashing: bool) -> None:
        """Work as the tagged store does."""
        with contextlib.ExitStack() as stack:
            running = (stack.enter_context(digests.Digests(*hashers()))
                       if hashing else None)
            writer = (stack.enter_context(writing.Writer(image, IN_FLIGHT))
                      if image else None)
            for chunk in pieces(self.data, writing.CHUNK):
                if running:
                    running.update(chunk)
                if writer:
                    writer.write(chunk)
            if writer:
                writer.finish()
            if running:
                running.finish()

    def stock(self, image: Any | None, hashing: bool) -> None:
        """Do the same, one step after the other."""
        both = hashers() if hashing else ()
        for number, chunk in enumerate(pieces(self.data, STOCK_CHUNK)):
            if image:
                image.write(chunk, number * STOCK_CHUNK)
            for hasher in both:
                hasher.update(chunk)
        if image:
            image.flush()

    def timed(self, work: Callable[..., None], chunk: int, hashing: bool,
              writes: bool) -> tuple[float, float]:
        """Return the seconds that work took, and CPU seconds of all."""
        with contextlib.ExitStack() as stack:
            image = (stack.enter_context(self.image(chunk)) if writes
                     else None)
            cpu, began = self.cpu_s(), time.perf_counter()
            work(image, hashing)
            return time.perf_counter() - began, self.cpu_s() - cpu

    def cpu_s(self) -> float:
        """Return the CPU time of this process and the cluster's store."""
        stat = Path(f'/proc/{self.cluster.osd.pid}/stat').read_text()
        user, system = stat.rpartition(')')[2].split()[11:13]
        return (time.process_time()
                + (int(user) + int(system)) / os.sysconf('SC_CLK_TCK'))

    def measure(self, case: str, runs: int, hashing: bool,
                writes: bool) -> report.Case:
        """Let both do a kind of work by turns."""
        found = report.Case(case, [], [], PEER)
        for run in range(runs):
            for who in ('ours', 'peer') if run % 2 else ('peer', 'ours'):
                work, chunk = ((self.ours, writing.CHUNK) if who == 'ours'
                               else (self.stock, STOCK_CHUNK))
                seconds, cpu = self.timed(work, chunk, hashing, writes)
                getattr(found, who).append(seconds)
                print(f'  {case}, {who}: {seconds:.2f} s, CPU {cpu:.2f} s',
                      flush=True)
        return found


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--runs', type=int, default=5)
    parser.add_argument('--mib', type=int, default=1024)
    arguments = parser.parse_args()
    room = uploads.MEMORY.is_dir() and shutil.disk_usage(
        uploads.MEMORY).free > uploads.ROOM
    with tempfile.TemporaryDirectory(
            prefix='cinder-tagged-bench-',
            dir=uploads.MEMORY if room else None) as name, \
            CephCluster(Path(name, 'ceph')) as cluster:
        bench = Bench(cluster, os.urandom(arguments.mib * uploads.MIB))
        print(f'{os.cpu_count()} cores')
        what = f'{arguments.mib} MiB'
        cases = [bench.measure(f'{label} {what}', arguments.runs, hashing,
                               writes)
                 for label, hashing, writes in (
                     ('hash', True, False), ('write', False, True),
                     ('hash and write', True, True))]
    report.report('upload_parts', 's', cases)


if __name__ == '__main__':
    main()
