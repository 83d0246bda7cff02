# SPDX-License-Identifier: Apache-2.0
"""Which images a backend holds copies of, for its reports to schedulers."""

from collections.abc import Iterable
import threading

#: Images told of; reports go to every scheduler again and again.
MAX_TOLD = 100


class SeenImages:
    """The images whose copies were used last; safe for several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._images: dict[str, None] = {}

    def used(self, image_id: str) -> None:
        """Note that a copy of an image was used."""
        with self._lock:
            self._images.pop(image_id, None)
            self._images[image_id] = None
            if len(self._images) > MAX_TOLD:
                del self._images[next(iter(self._images))]

    def replace(self, image_ids: Iterable[str]) -> None:
        """Take over what a look at the pool has found.

        :param image_ids: those used last come last
        """
        found = dict.fromkeys(image_ids)
        with self._lock:
            self._images = dict.fromkeys(list(found)[-MAX_TOLD:])

    def told(self) -> list[str]:
        """Return the images, those used last at the end."""
        with self._lock:
            return list(self._images)
