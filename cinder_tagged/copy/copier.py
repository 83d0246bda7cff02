# SPDX-License-Identifier: Apache-2.0
"""Making one copy, from taking the lease to the record that says READY.

The order of the steps is what a crash at any point relies on::

    lease -> (fence and clean up what a former copier left)
          -> record COPYING -> image -> data -> flush -> snapshot
          -> record READY -> lease given up

Before the record says READY nobody clones, so whatever stands there can
be removed by the next one who holds the lease.
"""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import logging
import os
import socket
import time
from typing import Any
from typing import BinaryIO
import uuid

import rados
import rbd

from cinder_tagged.ceph import connection
from cinder_tagged.ceph import errors as ceph_errors
from cinder_tagged.copy import convert
from cinder_tagged.copy import errors
from cinder_tagged.copy import fence
from cinder_tagged.copy import frames
from cinder_tagged.copy import pump as pump_mod
from cinder_tagged.copy import target as target_mod
from cinder_tagged.copy.core import decision
from cinder_tagged.copy.core import extents as extents_mod
from cinder_tagged.copy.core.progress import Progress
from cinder_tagged.copy.core.record import Copier as Who
from cinder_tagged.copy.core.record import Record
from cinder_tagged.copy.core.record import State
from cinder_tagged.copy.keeper import Keeper
from cinder_tagged.copy.lease import Lease
from cinder_tagged.copy.ledger import Ledger
from cinder_tagged.copy.ledger import oid
from cinder_tagged.copy.spec import Format
from cinder_tagged.copy.spec import Job
from cinder_tagged.copy.spec import Place
from cinder_tagged.copy.spec import RbdImage

LOG = logging.getLogger(__name__)

#: Appended to a target's name: the image that holds what is converted.
SCRATCH = '.part'
_CONVERT_STALL_S = 900.0


@contextlib.contextmanager
def opened(place: Place) -> Iterator[tuple[Any, Any]]:
    """Give a connection and an I/O context, without librbd's cache.

    Each byte is written once and never read again, and without a cache an
    error shows at the write that it belongs to.
    """
    client = connection.open_client(place.identity)
    try:
        client.conf_set('rbd_cache', 'false')
        with contextlib.closing(
                connection.open_ioctx(client, place.pool)) as ioctx:
            yield client, ioctx
    finally:
        client.shutdown()


class Copier:
    """One job.

    :param progress: is kept up to date
    :param stream: where frames come from if the job has no source
    :param lost: called, from another thread, when this process must write
        no more
    """

    def __init__(self, job: Job, progress: Progress, stream: BinaryIO,
                 lost: Callable[[str], None]) -> None:
        self._job = job
        self._progress = progress
        self._stream = stream
        self._lost = lost
        self._pump: pump_mod.Pump | None = None
        self._cancelled = False
        self._receiving = False
        self._scratch = job.target + SCRATCH
        self.streamed: Callable[[], None] = lambda: None

    def cancel(self) -> None:
        """Make :meth:`run` clean up and raise.

        For signal handlers. While data is awaited the handler itself has
        to raise: nothing else ends a read.

        :raises CopyCancelled: in that case
        """
        self._cancelled = True
        if self._receiving:
            self._receiving = False
            raise errors.CopyCancelled('cancelled')
        if self._pump is not None:
            self._pump.cancel()

    def run(self) -> Record:
        """Make the copy, unless an intact one is there already.

        :returns: the record of the finished copy
        :raises LeaseHeld: another one makes it right now
        :raises CopyError: it failed; nothing is left behind, or it is left
            to the next one because the cluster does not answer
        """
        with opened(self._job.place) as (client, ioctx):
            lease = Lease(ioctx, oid(self._job.target), str(uuid.uuid4()),
                          socket.gethostname(), self._job.lease_s)
            lease.take()
            keeper = Keeper(lease, Ledger(ioctx), self._progress, self._lost)
            keeper.start()
            try:
                return self._run(client, ioctx, lease)
            finally:
                keeper.stop()
                with contextlib.suppress(rados.Error):
                    lease.release()

    def _run(self, client: Any, ioctx: Any, lease: Lease) -> Record:
        job, ledger = self._job, Ledger(ioctx)
        before = ledger.read(job.target).record
        found = target_mod.look(ioctx, job.target, job.snapshot)
        if before is not None and job.snapshot and decision.intact(
                before, found, job.digest):
            return before
        self._clean_up(client, ioctx, before, found is not None)
        record = Record(
            job.target, State.COPYING, job.origin, job.digest,
            before.epoch + 1 if before else 1,
            Who(socket.gethostname(), os.getpid(), client.get_addrs()),
            time.time())
        ledger.enlist(job.target)
        ledger.write(record, lease)
        try:
            done = self._make(ioctx)
            record = record.complete(done.size, self._progress.written,
                                     done.image_id, done.snap_id)
            ledger.write(record, lease)
        except errors.LeaseLost:
            raise
        except Exception as exc:
            self._give_up(ioctx, ledger, lease, exc)
            raise
        return record

    # -- before and after ---------------------------------------------------

    def _clean_up(self, client: Any, ioctx: Any, before: Record | None,
                  found: bool) -> None:
        """Remove what stands in the way.

        :raises CopyFailed: it is not ours to remove
        """
        job = self._job
        if before is not None and before.state == State.COPYING:
            fence.shut_out(client, ioctx, before,
                           (job.target, self._scratch))
            target_mod.remove(ioctx, self._scratch)
        elif not found:
            return
        if before is None and not job.replace:
            raise errors.CopyFailed(
                f'image {job.place.pool}/{job.target} exists and no copy '
                'made it; look at it, then rename or remove it')
        LOG.warning('Removing %(image)s, left by %(before)s.', {
            'image': job.target,
            'before': f'attempt {before.epoch} ({before.state})'
            if before else 'an unknown copy'})
        target_mod.remove(ioctx, job.target)

    def _give_up(self, ioctx: Any, ledger: Ledger, lease: Lease,
                 why: Exception) -> None:
        """Leave nothing behind, if the cluster lets us."""
        LOG.warning('Copy %(target)s given up: %(why)s',
                    {'target': self._job.target, 'why': why})
        try:
            target_mod.remove(ioctx, self._job.target)
            target_mod.remove(ioctx, self._scratch)
            ledger.forget(self._job.target, lease)
        except (rados.Error, rbd.Error, errors.CopyError) as exc:
            LOG.warning('What it left goes with the next attempt or sweep: '
                        '%s', exc)

    # -- data ---------------------------------------------------------------

    def _make(self, ioctx: Any) -> decision.Found:
        where = self._job.source
        if where is None:
            return self._from_stream(ioctx)
        with self._reading(where) as source:
            if self._raw:
                return self._from_image(ioctx, source, self._job.target)
            # qemu-img opens what it reads as if it would write to it, and
            # Cinder's user may only read there. So it reads a copy.
            self._from_image(ioctx, source, self._scratch)
        return self._convert(ioctx)

    @contextlib.contextmanager
    def _reading(self, where: RbdImage) -> Iterator[Any]:
        with contextlib.ExitStack() as stack:
            try:
                _client, ioctx = stack.enter_context(opened(where.place))
                image = stack.enter_context(rbd.Image(
                    ioctx, where.image, snapshot=where.snapshot,
                    read_only=True))
            except (rbd.Error, rados.Error, ceph_errors.CephError) as exc:
                raise errors.SourceUnreadable(
                    f'the original {where.place.pool}/{where.image}@'
                    f'{where.snapshot or ""} cannot be read: {exc}'
                    ) from exc
            yield image

    def _check(self, size: int, need: int) -> None:
        """Refuse early what could not be used.

        :param size: virtual size
        :param need: bytes that will be stored at most
        """
        job = self._job
        if job.limit and size > job.limit:
            raise errors.UnsafeImage(
                f'a virtual size of {size} bytes does not fit into the '
                f'{job.limit} bytes asked for')
        if job.room is not None and need > job.room:
            raise errors.NoRoom(need)

    @contextlib.contextmanager
    def _pumping(self, ioctx: Any, name: str,
                 size: int) -> Iterator[tuple[Any, pump_mod.Pump]]:
        """Make an image and give a pump into it."""
        target_mod.make(ioctx, name, size, self._job.order,
                        self._job.features)
        with rbd.Image(ioctx, name) as image:
            for key, value in self._job.settings:
                image.metadata_set(key, value)
            self._pump = pump_mod.Pump(image, self._job.flow, self._progress)
            if self._cancelled:
                self._pump.cancel()
            try:
                yield image, self._pump
            finally:
                self._pump = None

    def _from_image(self, ioctx: Any, source: Any,
                    name: str) -> decision.Found:
        size = source.size()
        extents = extents_mod.merge(pump_mod.allocated(source, size))
        self._progress.total = extents_mod.total(extents)
        self._check(size if self._raw else 0, self._progress.total)
        with self._pumping(ioctx, name, size) as (image, pump):
            for portion in extents_mod.portions(extents, self._block):
                pump.copy(source, portion)
            return self._finish(image, pump)

    def _from_stream(self, ioctx: Any) -> decision.Found:
        job = self._job
        self._progress.total = job.size
        self._check(job.size if self._raw else 0, job.size)
        name = job.target if self._raw else self._scratch
        with self._pumping(ioctx, name, job.size) as (image, pump):
            self._receiving = True
            try:
                for portion, data in frames.blocks(
                        frames.receive(self._stream), job.size, self._block):
                    pump.put(portion, data)
            finally:
                self._receiving = False
            self.streamed()
            found = self._finish(image, pump)
        return found if self._raw else self._convert(ioctx)

    def _convert(self, ioctx: Any) -> decision.Found:
        """Make the target out of the qcow2 in the scratch image."""
        job = self._job
        with rbd.Image(ioctx, self._scratch, read_only=True) as source:
            size = convert.virtual_size(source)
            self._check(size, source.size())
        target_mod.make(ioctx, job.target, size, job.order, job.features)
        self._progress.done, self._progress.total = 0, size
        convert.convert(
            convert.command(RbdImage(job.place, self._scratch),
                            RbdImage(job.place, job.target),
                            job.flow.in_flight),
            self._progress, max(job.flow.stall_s, _CONVERT_STALL_S),
            lambda: self._cancelled)
        target_mod.remove(ioctx, self._scratch)
        with rbd.Image(ioctx, job.target) as target:
            self._progress.written = extents_mod.total(
                pump_mod.allocated(target, size))
            return target_mod.seal(target, job.snapshot)

    def _finish(self, image: Any, pump: pump_mod.Pump) -> decision.Found:
        pump.drain()
        image.flush()
        if self._job.flow.checksums:
            for portion in list(pump.checksums):
                pump.check(portion)
            pump.drain()
            LOG.info('Read back and compared %(count)d portions of '
                     '%(target)s.', {'count': len(pump.checksums),
                                     'target': self._job.target})
        return target_mod.seal(image, self._job.snapshot if self._raw else '')

    @property
    def _raw(self) -> bool:
        return self._job.format == Format.RAW

    @property
    def _block(self) -> int:
        return 1 << self._job.order
