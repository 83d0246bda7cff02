# SPDX-License-Identifier: Apache-2.0
"""Creates that were given up, and may take effect later all the same.

A cluster that froze carries out what it was sent when it thaws. By then
Cinder has made the volume elsewhere, and nobody would ever remove the image
here. So names are kept until the cluster is back and has been looked at.
They are kept in memory only; after a restart of the service, its log tells
them.
"""

from collections.abc import Callable
import contextlib
import dataclasses
import logging
import threading
import time
from typing import Any

from cinder_tagged.volume import existing
from cinder_tagged.volume.whereabouts import Whereabouts

LOG = logging.getLogger(__name__)

#: How long after it was sent an operation may still take effect, once the
#: cluster answers again; for looking twice.
SETTLED_S = 60.0


@dataclasses.dataclass(frozen=True, slots=True)
class Doubt:
    """One create with an open end."""

    volume_id: str
    name: str
    shape: existing.Shape
    since: float


class Doubtful:
    """Creates with an open end.

    :param whereabouts: tells where the volume of this id is now
    """

    def __init__(self, rbd: Any,
                 whereabouts: Callable[[str], Whereabouts],
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._rbd = rbd
        self._whereabouts = whereabouts
        self._clock = clock
        self._lock = threading.Lock()
        self._doubts: dict[str, Doubt] = {}

    def add(self, volume_id: str, name: str, shape: existing.Shape) -> None:
        """Remember a create that was given up."""
        LOG.warning('The create of image %s was given up; if it takes effect '
                    'later, the image is removed unless it is needed.', name)
        with self._lock:
            self._doubts[name] = Doubt(volume_id, name, shape,
                                       self._clock())

    def names(self) -> list[str]:
        """Return the images in doubt."""
        with self._lock:
            return sorted(self._doubts)

    def settle(self, connect: Callable[
            [], contextlib.AbstractContextManager[Any]]) -> None:
        """Look at each; remove what nobody needs. The cluster must be up.

        :param connect: gives an I/O context of the pool
        """
        with self._lock:
            doubts = list(self._doubts.values())
        for doubt in doubts:
            where = self._whereabouts(doubt.volume_id)
            if where is Whereabouts.UNKNOWN:
                continue
            if where is Whereabouts.HERE:
                self._forget(doubt)
                continue
            with connect() as ioctx:
                found = self._remove(ioctx, doubt, where)
            if found or self._clock() - doubt.since > SETTLED_S:
                self._forget(doubt)

    def _forget(self, doubt: Doubt) -> None:
        with self._lock:
            if self._doubts.get(doubt.name) is doubt:
                del self._doubts[doubt.name]

    def _remove(self, ioctx: Any, doubt: Doubt, where: Whereabouts) -> bool:
        """Remove the image if it is unused; tell whether there was one."""
        found = existing.examine(self._rbd, ioctx, doubt.name)
        if found is None:
            # Clears the traces of an unfinished create, if any.
            with contextlib.suppress(self._rbd.ImageNotFound):
                self._rbd.RBD().remove(ioctx, doubt.name)
            return False
        reasons = found.against(doubt.shape)
        if reasons:
            LOG.warning('Image %(name)s is from a create that was given up, '
                        'and its volume is %(where)s, but it is left as it '
                        'is: %(reasons)s.',
                        {'name': doubt.name, 'where': where.value,
                         'reasons': '; '.join(reasons)})
            return True
        self._rbd.RBD().remove(ioctx, doubt.name)
        LOG.info('Image %(name)s, from a create that was given up, has been '
                 'removed: its volume is %(where)s, and it was never used '
                 '(%(found)s).',
                 {'name': doubt.name, 'where': where.value, 'found': found})
        return True
