# SPDX-License-Identifier: Apache-2.0
"""Reading a range of an RBD image, several reads ahead."""

import collections
from collections.abc import Iterator
import os
import queue
from typing import Any

from glance_store_ext import clusters as clusters_mod
from glance_store_ext import locations

CHUNK = 4 * 1024 * 1024


class ReadFailed(Exception):
    """The cluster did not give the data.

    :param code: errno of the read
    """

    def __init__(self, code: int):
        self.code = code
        super().__init__(f'read from the cluster failed: {os.strerror(code)}')


def stream(clusters: clusters_mod.Clusters, place: locations.Place,
           offset: int, length: int | None, in_flight: int) -> Iterator[bytes]:
    """Yield the bytes of an image from an offset on.

    The connection is opened with the first byte asked for, and closed when
    the iterator ends or is closed.

    :param length: how many bytes; None for all that follow
    """
    with clusters.image(place.fsid, place.pool, place.image,
                        place.snapshot) as image:
        end = image.size()
        if length is not None:
            end = min(end, offset + length)
        yield from _ahead(image, offset, end, in_flight)


def _ahead(image: Any, begin: int, end: int,
           in_flight: int) -> Iterator[bytes]:
    pending: collections.deque[queue.SimpleQueue[Any]] = collections.deque()
    try:
        while begin < end or pending:
            while begin < end and len(pending) < in_flight:
                # Pieces end where RADOS objects end.
                step = min(CHUNK - begin % CHUNK, end - begin)
                pending.append(_read(image, begin, step))
                begin += step
            code, data = pending.popleft().get()
            if code < 0:
                raise ReadFailed(-code)
            yield data
    finally:
        for answer in pending:  # librbd must be done before the image goes
            answer.get()


def _read(image: Any, begin: int, length: int) -> queue.SimpleQueue[Any]:
    answer: queue.SimpleQueue[Any] = queue.SimpleQueue()
    image.aio_read(begin, length, lambda completion, data: answer.put(
        (completion.get_return_value(), data)))
    return answer
