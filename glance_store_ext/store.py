# SPDX-License-Identifier: Apache-2.0
"""The driver of the store type ``tagged``.

In glance-api.conf::

    [DEFAULT]
    enabled_backends = fast:tagged, plain:rbd

    [fast]
    tagged_feature = ssd
    tagged_ceph_confs = /etc/ceph/a.conf, /etc/ceph/b.conf
    auth_type = password
    ...
"""

from collections.abc import Iterator
import contextlib
import hashlib
import logging
from typing import Any

from glance_store import capabilities
from glance_store import driver
from glance_store import exceptions
from glance_store import location
from glance_store.common import utils
from keystoneauth1 import loading
import rbd

from cinder_tagged import exceptions as tagged_exceptions
from cinder_tagged.ceph import errors as ceph_errors
from glance_store_ext import clusters
from glance_store_ext import digests
from glance_store_ext import locations
from glance_store_ext import opts
from glance_store_ext import reading
from glance_store_ext import records
from glance_store_ext import sweep
from glance_store_ext import upload
from glance_store_ext import volumes
from glance_store_ext import wish
from glance_store_ext import writing

LOG = logging.getLogger(__name__)

#: Name of the entry point, and the type in enabled_backends.
TYPE = 'tagged'


class StoreLocation(location.StoreLocation):
    """An address; glance_store looks for the class by this name."""

    place: locations.Place

    def process_specs(self) -> None:
        """Take the parts of an address from a dictionary."""
        self.place = locations.Place(**self.specs)

    def get_uri(self) -> str:
        """Return the address as text."""
        return self.place.uri

    def parse_uri(self, uri: str) -> None:
        """Take an address as text.

        :raises BadStoreUri: it is not one of this store
        """
        try:
            self.place = locations.read(str(uri))
        except locations.LocationError as error:
            raise exceptions.BadStoreUri(message=str(error)) from error


class Store(driver.Store):
    """Images on volumes that Cinder places by feature."""

    # Reusable: one instance serves all threads; what belongs to one
    # transfer lives in that transfer.
    _CAPABILITIES = (capabilities.BitMasks.READ_RANDOM
                     | capabilities.BitMasks.WRITE_ACCESS
                     | capabilities.BitMasks.DRIVER_REUSABLE)
    OPTIONS = opts.STORE_OPTS
    EXAMPLE_URL = 'rbd://<FSID>/<POOL>/<IMAGE>/<SNAPSHOT>'

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self._group = self.backend_group or 'glance_store'
        self._settings = (
            driver.BackendGroupConfiguration(
                self.OPTIONS, self.backend_group, conf=self.conf)
            if self.backend_group else self.conf.glance_store)
        loading.register_auth_conf_options(self.conf, self._group)
        self._target: upload.Target | None = None
        self.clusters: clusters.Clusters | None = None

    def get_schemes(self) -> tuple[str, ...]:
        """Return the store's own type, which look-ups go by, and rbd."""
        return (TYPE, 'rbd')

    def configure_add(self) -> None:
        """Check the options; asks neither Cinder nor a cluster.

        :raises BadStoreConfiguration: an option cannot be used
        """
        settings = self._settings
        try:
            wish.join(settings.tagged_feature, None)
            self.clusters = clusters.Clusters(
                settings.tagged_ceph_confs, settings.tagged_rbd_user,
                settings.tagged_ceph_timeout)
            self._sweeper = sweep.Sweeper(
                records.addresses, settings.tagged_leftover_grace)
            settings.tagged_volume_name_template % ''
            settings.tagged_snapshot_name_template % ''
            if settings.tagged_catalog_info.count(':') != 2:
                raise ValueError(
                    'tagged_catalog_info must have the form '
                    f'type:name:interface, not '
                    f'"{settings.tagged_catalog_info}"')
        except (tagged_exceptions.CinderTaggedError, TypeError,
                ValueError) as error:
            raise exceptions.BadStoreConfiguration(
                store_name=self._group, reason=str(error)) from error

    @property
    def properties(self) -> dict[str, Any]:
        """What administrators see of the store in the API."""
        return {
            'feature': self._settings.tagged_feature,
            'volume_type': self._settings.tagged_volume_type,
            'clusters': list(self._readable().fsids),
            'chunk_size': writing.CHUNK,
        }

    @driver.back_compat_add
    @capabilities.check
    def add(self, image_id: str, image_file: Any, image_size: int,
            hashing_algo: str, context: Any = None,
            verifier: Any = None) -> tuple[Any, ...]:
        """Store an image; see the base class."""
        record = records.of(context, image_id)
        checksum = utils.get_hasher('md5', False)
        multihash = hashlib.new(hashing_algo)
        hashers = [checksum, multihash] + ([verifier] if verifier else [])
        self._sweeper.soon(self._writable())
        with _store_errors(), digests.Digests(*hashers) as running:
            feature = wish.join(self._settings.tagged_feature,
                                record.feature)
            place, length = upload.Upload(
                self._writable(), image_id, image_size or 0,
                record.size).run(
                    image_file, str(feature) if feature else None, running)
        metadata = {'store': self.backend_group} if self.backend_group else {}
        return (place.uri, length, checksum.hexdigest(),
                multihash.hexdigest(), metadata)

    @capabilities.check
    def get(self, location: Any, offset: int = 0,
            chunk_size: int | None = None,
            context: Any = None) -> tuple[Iterator[bytes], int]:
        """Return an iterator over a range of an image, and its length.

        :param chunk_size: length of the range; None for all that follows
        """
        size = self.get_size(location)
        length = max(0, size - offset)
        if chunk_size is not None:
            length = min(length, chunk_size)
        return (reading.stream(
            self._readable(), location.store_location.place, offset, length,
            self._settings.tagged_in_flight), length)

    def get_size(self, location: Any, context: Any = None) -> int:
        """Return the length of an image in bytes.

        :raises NotFound: it is gone
        """
        place = location.store_location.place
        with _store_errors(), self._readable().image(
                place.fsid, place.pool, place.image,
                place.snapshot) as image:
            return int(image.size())

    @capabilities.check
    def delete(self, location: Any, context: Any = None) -> None:
        """Remove an image, its snapshot and its volume.

        :raises InUseByStore: clones need it
        """
        place = location.store_location.place
        target = self._writable()
        if place.volume_id is None or place.snapshot_id is None:
            raise exceptions.Forbidden(
                message=f'{place.uri} was not made by this store')
        with _store_errors():
            target.volumes.discard_snapshot(place.snapshot_id)
            target.volumes.discard(place.volume_id)
        LOG.info('Volume %s of %s removed', place.volume_id, place.uri)

    def _readable(self) -> clusters.Clusters:
        if self.clusters is None:
            raise exceptions.BadStoreConfiguration(
                store_name=self._group, reason='see the log of the start')
        return self.clusters

    def _writable(self) -> upload.Target:
        if self._target is None:
            settings = self._settings
            with _store_errors():
                client = volumes.connect(
                    self.conf, self._group, settings.tagged_http_timeout,
                    settings.tagged_catalog_info, settings.tagged_region)
            self._target = upload.Target(
                volumes.Volumes(client, settings.tagged_cinder_timeout),
                self._readable(), settings.tagged_volume_type,
                (settings.tagged_volume_name_template,
                 settings.tagged_snapshot_name_template),
                settings.tagged_in_flight)
        return self._target


_CINDER_REASONS = {
    'quota': exceptions.StorageFull,
    'refused': exceptions.Invalid,
    'failed': exceptions.Invalid,
    'busy': exceptions.InUseByStore,
    'timeout': exceptions.TimeoutError,
    'unreachable': exceptions.StorageWriteDenied,
}


@contextlib.contextmanager
def _store_errors() -> Iterator[None]:
    """Turn our errors into those that Glance has answers for."""
    try:
        yield
    except volumes.CinderError as error:
        raise _CINDER_REASONS[error.reason](message=str(error)) from error
    except (upload.SizeMismatch,
            tagged_exceptions.ExpressionError) as error:
        raise exceptions.Invalid(message=str(error)) from error
    except rbd.ImageNotFound as error:
        raise exceptions.NotFound(message=str(error)) from error
    except (ceph_errors.CephError, rbd.Error,
            writing.WriteFailed) as error:
        if writing.is_full(error):
            raise exceptions.StorageFull(message=str(error)) from error
        raise exceptions.StorageWriteDenied(message=str(error)) from error
