# SPDX-License-Identifier: Apache-2.0
"""Writing a stream into an RBD image, many writes at a time."""

from collections.abc import Iterator
import os
import threading
from types import TracebackType
from typing import Any

import rbd

from cinder_tagged.copy.core import zeros
from glance_store_ext import wish

#: One RADOS object as Cinder makes them; larger reads bring nothing more.
CHUNK = 4 * 1024 * 1024
#: A new image reads as zeros, so zeros need not be written. Many small
#: writes cost more than a few zeros: runs are left out from here on.
_SHORTEST_GAP = 256 * 1024


class WriteFailed(Exception):
    """The cluster did not take the data.

    :param code: errno of the first write that failed
    """

    def __init__(self, code: int):
        self.code = code
        super().__init__(f'write to the cluster failed: {os.strerror(code)}')


class Writer:
    """Writes chunks in the order in which they come; a context manager.

    Leaving it waits for all writes under way, with an error or without.

    :param image: open ``rbd.Image``, new, so that it reads as zeros
    :param in_flight: how many writes may be under way
    """

    def __init__(self, image: Any, in_flight: int):
        self._image = image
        self._slots = threading.Semaphore(in_flight)
        self._in_flight = in_flight
        self._failed = 0
        self._room = image.size()
        #: bytes received so far, those of holes too
        self.position = 0
        #: bytes sent to the cluster
        self.written = 0

    def __enter__(self) -> 'Writer':
        return self

    def __exit__(self, kind: type[BaseException] | None,
                 error: BaseException | None,
                 trace: TracebackType | None) -> None:
        # Each completion gives its slot back, also after an error or a
        # timeout of librados: this ends.
        for _slot in range(self._in_flight):
            self._slots.acquire()

    def write(self, chunk: bytes) -> None:
        """Send one chunk; waits while too many writes are under way.

        :raises WriteFailed: an earlier write failed
        :raises rbd.Error: the image cannot grow
        """
        end = self.position + len(chunk)
        if end > self._room:
            self._room = wish.grown(self._room, end)
            self._image.resize(self._room)
        for begin, stop in zeros.data_runs(chunk, _SHORTEST_GAP):
            data = (chunk if stop - begin == len(chunk)
                    else chunk[begin:stop])
            self._send(data, self.position + begin)
        self.position = end

    def finish(self) -> None:
        """Wait until all data is on the cluster.

        :raises WriteFailed: a write failed
        """
        for _slot in range(self._in_flight):
            self._slots.acquire()
        for _slot in range(self._in_flight):
            self._slots.release()
        self._check()

    def _send(self, data: bytes, offset: int) -> None:
        self._slots.acquire()
        try:
            self._check()
            self._image.aio_write(data, offset, self._done)
        except BaseException:
            self._slots.release()
            raise
        self.written += len(data)

    def _done(self, completion: Any) -> None:
        code = completion.get_return_value()
        if code < 0 and not self._failed:
            self._failed = -code
        self._slots.release()

    def _check(self) -> None:
        if self._failed:
            raise WriteFailed(self._failed)


def chunks(source: Any, size: int = CHUNK) -> Iterator[bytes]:
    """Yield the data of a file-like object in full chunks.

    Short reads, as sockets give them, are put together: chunks then fall
    on the borders of RADOS objects.
    """
    while True:
        chunk = source.read(size)
        if not chunk:
            return
        if len(chunk) < size:
            parts = [chunk]
            missing = size - len(chunk)
            while missing and (part := source.read(missing)):
                parts.append(part)
                missing -= len(part)
            chunk = b''.join(parts)
        yield chunk


def is_full(error: BaseException) -> bool:
    """Tell whether an error says that the cluster has no room."""
    return isinstance(error, (rbd.NoSpace, rbd.DiskQuotaExceeded)) or (
        isinstance(error, WriteFailed) and error.code in (28, 122))
