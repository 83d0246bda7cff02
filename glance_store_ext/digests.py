# SPDX-License-Identifier: Apache-2.0
"""Hashes of image data, each computed in a thread of its own.

hashlib lets go of the interpreter's lock while it works, so the hashes run
beside each other and beside the writes.
"""

import queue
import threading
from types import TracebackType
from typing import Any

#: How many chunks may wait for a hash; bounds the memory of an upload.
_AHEAD = 4


class _Thread:
    """Feeds one object with an ``update`` method."""

    def __init__(self, hasher: Any):
        self.hasher = hasher
        self.error: BaseException | None = None
        self._chunks: queue.Queue[bytes | None] = queue.Queue(_AHEAD)
        self._thread = threading.Thread(
            target=self._run, name='image-digest', daemon=True)
        self._thread.start()

    def put(self, chunk: bytes | None) -> None:
        self._chunks.put(chunk)

    def join(self) -> None:
        self._thread.join()

    def _run(self) -> None:
        while (chunk := self._chunks.get()) is not None:
            if self.error is None:
                try:
                    self.hasher.update(chunk)
                except Exception as error:  # reported by update() or finish()
                    self.error = error


class Digests:
    """Several hashes of one stream; a context manager that ends threads.

    :param hashers: objects with ``update(bytes)``, such as those of hashlib
        or a signature verifier
    """

    def __init__(self, *hashers: Any):
        self._threads = [_Thread(hasher) for hasher in hashers]
        self._ended = False

    def __enter__(self) -> 'Digests':
        return self

    def __exit__(self, kind: type[BaseException] | None,
                 error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._end()

    def update(self, chunk: bytes) -> None:
        """Hand a chunk to every hash; waits if they lag behind.

        :raises: what a hash raised for an earlier chunk
        """
        self._check()
        for thread in self._threads:
            thread.put(chunk)

    def finish(self) -> None:
        """Wait until every hash has seen all chunks.

        :raises: what a hash raised
        """
        self._end()
        self._check()

    def _end(self) -> None:
        if not self._ended:
            self._ended = True
            for thread in self._threads:
                thread.put(None)
            for thread in self._threads:
                thread.join()

    def _check(self) -> None:
        for thread in self._threads:
            if thread.error is not None:
                raise thread.error
