# SPDX-License-Identifier: Apache-2.0
"""Moving bytes into an image, several requests at a time.

One thread drives everything: librbd's own threads only put what ended
into a queue. So at most ``in_flight`` portions are in memory, zero runs
are looked for while other requests are under way, and a queue that stays
empty for too long is the one sign of a cluster that went away.
"""

import dataclasses
import errno
import os
import queue
import time
from typing import Any
import zlib

from cinder_tagged.copy import errors
from cinder_tagged.copy.core import zeros
from cinder_tagged.copy.core.extents import Extent
from cinder_tagged.copy.core.progress import Progress


@dataclasses.dataclass(frozen=True, slots=True)
class Flow:
    """How to copy.

    :param in_flight: portions read or written at the same time
    :param shortest_gap: zero runs of this many bytes are not written
    :param stall_s: seconds within which one of the requests must end
    :param checksums: remember a checksum of each portion
    """

    in_flight: int = 8
    shortest_gap: int = 65536
    stall_s: float = 60.0
    checksums: bool = False


@dataclasses.dataclass(slots=True)
class _Event:
    """A request that ended."""

    kind: str
    portion: Extent
    result: int
    data: bytes | None = None


class Pump:
    """Keeps requests in flight between images.

    :param target: an open ``rbd.Image`` to write to
    :param progress: is kept up to date
    :raises CopyFailed: from any method, once a request failed
    :raises CopyStalled: from any method, once nothing moves any more
    :raises CopyCancelled: from any method, after :meth:`cancel`
    """

    def __init__(self, target: Any, flow: Flow, progress: Progress) -> None:
        self._target = target
        self._flow = flow
        self._progress = progress
        self._events: queue.SimpleQueue[_Event] = queue.SimpleQueue()
        self._writes: dict[Extent, int] = {}
        self._active = 0
        self.checksums: dict[Extent, int] = {}

    def copy(self, source: Any, portion: Extent) -> None:
        """Read a portion from an open image and write it to the target."""
        self._read(source, portion, 'read')

    def put(self, portion: Extent, data: bytes) -> None:
        """Write data that is at hand."""
        self._await_room()
        self._active += 1
        self._write(portion, data)

    def check(self, portion: Extent) -> None:
        """Read a portion back and compare its checksum."""
        self._read(self._target, portion, 'check')

    def drain(self) -> None:
        """Wait for all that is in flight."""
        while self._active:
            self._next()

    def cancel(self) -> None:
        """Make the waiting method raise; safe in signal handlers."""
        self._events.put(_Event('cancel', Extent(0, 1), 0))

    # -- how it is done -----------------------------------------------------

    def _read(self, image: Any, portion: Extent, kind: str) -> None:
        self._await_room()
        self._active += 1
        image.aio_read(
            portion.offset, portion.length,
            lambda completion, data: self._events.put(_Event(
                kind, portion, completion.get_return_value(), data)))

    def _await_room(self) -> None:
        while self._active >= self._flow.in_flight:
            self._next()

    def _next(self) -> None:
        """Deal with one request that ended."""
        try:
            event = self._events.get(timeout=self._flow.stall_s)
        except queue.Empty:
            raise errors.CopyStalled(
                f'nothing moved for {self._flow.stall_s:g} s with '
                f'{self._active} requests in flight') from None
        if event.kind == 'cancel':
            raise errors.CopyCancelled('cancelled')
        if event.result < 0:
            raise errors.CopyFailed(
                f'{event.kind} of {event.portion.length} bytes at '
                f'{event.portion.offset}: {os.strerror(-event.result)}')
        if event.kind == 'read':
            self._arrived(event)
        elif event.kind == 'check':
            self._compare(event)
        else:
            self._written(event.portion)

    def _arrived(self, event: _Event) -> None:
        data = event.data
        if data is None or len(data) != event.portion.length:
            raise errors.CopyFailed(
                f'short read at {event.portion.offset}: '
                f'{os.strerror(errno.EIO)}')
        self._write(event.portion, data)

    def _write(self, portion: Extent, data: bytes) -> None:
        """Write what is not zero; the portion counts as active already."""
        if self._flow.checksums:
            self.checksums[portion] = zlib.crc32(data)
        runs = zeros.data_runs(data, self._flow.shortest_gap)
        written = sum(end - start for start, end in runs)
        self._progress.add(portion.length, written)
        if not runs:
            self._active -= 1
            return
        self._writes[portion] = len(runs)
        for start, end in runs:
            self._target.aio_write(
                data[start:end], portion.offset + start,
                lambda completion: self._events.put(_Event(
                    'write', portion, completion.get_return_value())))

    def _written(self, portion: Extent) -> None:
        self._writes[portion] -= 1
        if not self._writes[portion]:
            del self._writes[portion]
            self._active -= 1

    def _compare(self, event: _Event) -> None:
        self._active -= 1
        if event.data is None or zlib.crc32(
                event.data) != self.checksums[event.portion]:
            raise errors.CopyFailed(
                f'the copy differs from the original at '
                f'{event.portion.offset}')


def allocated(image: Any, size: int) -> list[Extent]:
    """Return the parts of an open image that may hold data.

    They are whole objects: the object map, where the image has one, tells
    them without looking at each object.
    """
    extents: list[Extent] = []

    def note(offset: int, length: int, exists: bool) -> None:
        if exists and length and offset < size:
            extents.append(Extent(offset, min(length, size - offset)))

    if size:
        image.diff_iterate(0, size, None, note, include_parent=True,
                           whole_object=True)
    return extents


def now() -> float:
    """Return the clock that progress is counted by."""
    return time.monotonic()
