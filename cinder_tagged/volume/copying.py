# SPDX-License-Identifier: Apache-2.0
"""Volumes from images that are not in the backend's cluster."""

from collections.abc import Iterator
import contextlib
import logging
import time
from typing import Any

from cinder import exception
from cinder.volume.drivers import rbd as cinder_rbd
from oslo_config import cfg
from oslo_utils import units
import rados
import rbd

from cinder_tagged.ceph import errors as ceph_errors
from cinder_tagged.copy import errors
from cinder_tagged.copy import seeds as seeds_mod
from cinder_tagged.copy import spec
from cinder_tagged.copy.core import record as record_mod
from cinder_tagged.copy.core.record import Record
from cinder_tagged.copy.pump import Flow
from cinder_tagged.volume import cluster
from cinder_tagged.volume import gone
from cinder_tagged.volume import originals
from cinder_tagged.volume import seen
from cinder_tagged.volume import sources

CONF = cfg.CONF
LOG = logging.getLogger(__name__)

_FAULTS = (errors.CopyError, ceph_errors.CephError, rados.Error, rbd.Error,
           exception.VolumeBackendAPIException, OSError)
_DAY_S = 86400.0


class ImageCopies:
    """The seeds of one backend, and the volumes cloned from them.

    :param driver: the RBD driver of the backend
    """

    def __init__(self, driver: Any) -> None:
        self._driver = driver
        self._configuration = driver.configuration
        limits = cluster.timeouts(self._configuration, None)
        self.clusters = sources.KnownClusters(self._configuration, limits)
        self._swept = time.monotonic()
        #: Images with a seed in the pool, for the backend's reports.
        self.seen = seen.SeenImages()

    # -- what is copied how -------------------------------------------------

    def place(self) -> spec.Place:
        """Return the pool of the backend."""
        return spec.Place(self._driver.access.identity(
            self._driver._active_config),
                          self._configuration.rbd_pool)

    def flow(self) -> Flow:
        """Return how to copy."""
        conf = self._configuration
        osd = cluster.timeouts(conf, None).osd
        return Flow(conf.copy_in_flight, conf.copy_zero_gap * units.Ki,
                    stall_s=2.0 * osd, checksums=conf.copy_verify)

    def order(self) -> int:
        """Return the binary logarithm of the size of objects."""
        chunk: int = self._configuration.rbd_store_chunk_size * units.Mi
        return chunk.bit_length() - 1

    def seeds(self) -> seeds_mod.Seeds:
        """Return the seeds of the backend's pool."""
        conf = self._configuration
        return seeds_mod.Seeds(self.place(), self._access, seeds_mod.Settings(
            wait_s=conf.copy_wait, limit=conf.image_seed_max_gb * units.Gi,
            lease_s=conf.copy_lease, order=self.order(), flow=self.flow()))

    @contextlib.contextmanager
    def _access(self) -> Iterator[tuple[Any, Any]]:
        with cinder_rbd.RADOSClient(self._driver) as client:
            yield client.cluster, client.ioctx

    # -- volumes ------------------------------------------------------------

    def clone_image(self, context: Any, volume: Any, image_location: Any,
                    image_meta: dict[str, Any],
                    image_service: Any) -> tuple[dict[str, Any], bool]:
        """Make a volume from a seed of an image.

        :returns: the update of the volume, and whether it was made; when it
            was not, nothing is left of it
        :raises ImageUnacceptable: the image does not fit into the volume,
            or is not what it is said to be
        """
        if not self._configuration.image_seeds:
            return {}, False
        reason = originals.unfit(image_meta, CONF.verify_glance_signatures)
        if reason:
            LOG.info('Image %(image)s is downloaded for volume %(volume)s: '
                     '%(reason)s.', {'image': image_meta['id'],
                                     'volume': volume.id, 'reason': reason})
            return {}, False
        found = originals.candidates(
            image_meta, image_location, self.clusters.find,
            lambda: image_service.download(context, image_meta['id']),
            volume.size * units.Gi)
        try:
            return self._from_seed(volume, found), True
        except errors.UnsafeImage as exc:
            raise exception.ImageUnacceptable(
                image_id=image_meta['id'], reason=str(exc)) from exc
        except _FAULTS as exc:
            LOG.warning('Image %(image)s is downloaded for volume '
                        '%(volume)s, since there is no seed of it: %(exc)s',
                        {'image': image_meta['id'], 'volume': volume.id,
                         'exc': exc})
            return {}, False

    def _from_seed(self, volume: Any,
                   found: Iterator[seeds_mod.Original]) -> dict[str, Any]:
        seeds, original = self.seeds(), next(found)
        while True:
            try:
                record = seeds.ensure(original)
                break
            except errors.SourceUnreadable as exc:
                LOG.warning('%s; the next place is tried.', exc)
                original = next(found)
        for last in (False, True):
            try:
                update = self._clone(volume, record)
                break
            except rbd.ImageNotFound:
                # It was swept away between the look and the clone.
                if last:
                    raise
                record = seeds.ensure(original)
        self.seen.used(original.image)
        try:
            seeds.used(record)
        except rados.Error as exc:
            LOG.warning('Use of %(seed)s not noted: %(exc)s',
                        {'seed': record.target, 'exc': exc})
        return update

    def _clone(self, volume: Any, record: Record) -> dict[str, Any]:
        """Clone a seed, to the volume's size and with its type's settings.

        :raises UnsafeImage: the seed is larger than the volume
        """
        size = volume.size * units.Gi
        if record.size > size:
            raise errors.UnsafeImage(
                f'its virtual size of {record.size} bytes does not fit into '
                f'a volume of {volume.size} GiB')
        driver = self._driver
        with cinder_rbd.RADOSClient(driver) as client:
            # Clones of version 2 need no protected parent, and let it be
            # removed from sight while they live.
            client.cluster.conf_set('rbd_default_clone_format', '2')
            driver.RBDProxy().clone(
                client.ioctx, record.target, record_mod.SEED_SNAPSHOT,
                client.ioctx, volume.name, features=client.features,
                order=self.order())
            try:
                if record.size < size:
                    driver._resize(volume)
                update = driver._setup_volume(volume) or {}
            except BaseException:
                LOG.error('Volume %s could not be set up; its image is '
                          'removed.', volume.id)
                driver.RBDProxy().remove(client.ioctx, volume.name)
                raise
        LOG.info('Volume %(volume)s is a clone of %(pool)s/%(seed)s.', {
            'volume': volume.id, 'pool': self._configuration.rbd_pool,
            'seed': record.target})
        return {**update, 'provider_location': None}

    # -- keeping ------------------------------------------------------------

    def sweep_due(self) -> bool:
        """Tell, once each interval, that it is time for a sweep."""
        now = time.monotonic()
        if now - self._swept < (
                self._configuration.image_seed_sweep_interval):
            return False
        self._swept = now
        return True

    def sweep(self) -> None:
        """Remove orphans, seeds of gone images and idle seeds."""
        seeds = self.seeds()
        images = [record_mod.image_of(record.target)
                  for record, _used in seeds.all()]
        try:
            swept = seeds.sweep(
                gone=gone.among(images),
                idle_s=self._configuration.image_seed_idle_days * _DAY_S)
        except errors.CopyError as exc:
            LOG.warning('Pool %(pool)s was not swept: %(exc)s',
                        {'pool': self._configuration.rbd_pool, 'exc': exc})
            return
        left = sorted(seeds.all(), key=lambda item: item[1])
        self.seen.replace(record_mod.image_of(record.target)
                          for record, _used in left)
        if swept != spec.Swept():
            LOG.info('Swept pool %(pool)s: %(swept)s', {
                'pool': self._configuration.rbd_pool, 'swept': swept})
