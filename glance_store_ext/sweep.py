# SPDX-License-Identifier: Apache-2.0
"""Removing what killed uploads left, beside the work of the store."""

from collections.abc import Callable
from collections.abc import Iterable
import datetime
import threading
import time
from typing import Any

from oslo_log import log as logging
import rbd

from cinder_tagged.ceph import errors as ceph_errors
from glance_store_ext import leftovers
from glance_store_ext import upload
from glance_store_ext import volumes

LOG = logging.getLogger(__name__)

#: Seconds between two looks of one process.
PERIOD_S = 3600.0


class Sweeper:
    """Looks from time to time, in a thread that lives only for a look.

    :param addresses: returns the addresses of an image by its id
    :param grace_s: see :func:`leftovers.is_leftover`
    """

    def __init__(self, addresses: Callable[[str], tuple[str, ...]],
                 grace_s: float,
                 clock: Callable[[], float] = time.monotonic):
        self._addresses = addresses
        self._grace_s = grace_s
        self._clock = clock
        self._lock = threading.Lock()
        self._next = 0.0

    def soon(self, target: upload.Target) -> None:
        """Start a look if the last one is long enough ago."""
        with self._lock:
            if self._clock() < self._next:
                return
            self._next = self._clock() + PERIOD_S
        threading.Thread(target=self._look, args=(target,),
                         name='image-leftovers', daemon=True).start()

    def _look(self, target: upload.Target) -> None:
        try:
            self.sweep(target)
        except Exception:  # the next look comes, uploads go on
            LOG.exception('Looking for remains of killed uploads failed')

    def sweep(self, target: upload.Target) -> list[str]:
        """Remove what is left over; returns the ids of the volumes."""
        removed = []
        for volume in target.volumes.of_images():
            candidate = self._candidate(target, volume)
            if not leftovers.is_leftover(candidate, self._grace_s):
                continue
            LOG.warning(
                'Volume %s of image %s is left from an upload that was '
                'killed: no image is on it, nobody has it open, it was '
                'unchanged for %d s. Removing it', volume.id,
                volume.metadata[volumes.IMAGE_KEY], candidate.idle_s)
            try:
                target.volumes.discard_with_snapshots(volume.id)
                removed.append(volume.id)
            except volumes.CinderError as error:
                LOG.error('Volume %s stays: %s', volume.id, error)
        return removed

    def _candidate(self, target: upload.Target,
                   volume: Any) -> leftovers.Candidate:
        idle = idle_s(
            (volume.created_at, volume.updated_at),
            datetime.datetime.now(datetime.UTC))
        if idle < self._grace_s:
            return leftovers.Candidate(volume.id, idle)
        return leftovers.Candidate(
            volume.id, idle,
            self._addresses(volume.metadata[volumes.IMAGE_KEY]),
            _is_open(target, volume))


def _is_open(target: upload.Target, volume: Any) -> bool | None:
    try:
        fsid, pool = target.volumes.place(volume)
        with target.clusters.image(fsid, pool, target.names[0] % volume.id,
                                   read_only=True) as image:
            return bool(list(image.watchers_list()))
    except rbd.ImageNotFound:
        return False
    except (volumes.CinderError, ceph_errors.CephError,
            rbd.Error) as error:
        LOG.warning('Volume %s may be left over, but cannot be looked at: '
                    '%s', volume.id, error)
        return None


def idle_s(stamps: Iterable[str | None], now: datetime.datetime) -> float:
    """Return the seconds since the latest of Cinder's time stamps (UTC).

    :param now: aware of its time zone
    """
    known = [datetime.datetime.fromisoformat(stamp).replace(
        tzinfo=datetime.UTC) for stamp in stamps if stamp]
    return (now - max(known)).total_seconds() if known else 0.0
