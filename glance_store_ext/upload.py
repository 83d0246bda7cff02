# SPDX-License-Identifier: Apache-2.0
"""One upload: a volume from Cinder, the data into it, a snapshot on top.

The invariant: when :meth:`Upload.run` ends, either there is a complete image
with a snapshot, or neither snapshot nor volume.
"""

from collections.abc import Iterable
from collections.abc import Iterator
from concurrent import futures
import dataclasses
import itertools
import time
from typing import Any

from oslo_log import log as logging

from glance_store_ext import clusters as clusters_mod
from glance_store_ext import digests as digests_mod
from glance_store_ext import locations
from glance_store_ext import volumes as volumes_mod
from glance_store_ext import wish
from glance_store_ext import writing

LOG = logging.getLogger(__name__)

#: How much more than what may be in flight may wait in memory while Cinder
#: makes the volume.
_AHEAD = 4


class SizeMismatch(Exception):
    """The data is longer or shorter than was announced."""

    def __init__(self, expected: int, actual: str):
        super().__init__(f'the image was announced with {expected} bytes, '
                         f'but has {actual}')


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """How a store makes its volumes.

    :param names: templates of the RBD names of a volume and a snapshot
    """

    volumes: volumes_mod.Volumes
    clusters: clusters_mod.Clusters
    volume_type: str | None
    names: tuple[str, str]
    in_flight: int


class Upload:
    """One image on its way into a cluster.

    :param size: announced length in bytes, 0 if not known
    :param expected: length to plan with where ``size`` is not known
    """

    def __init__(self, target: Target, image_id: str, size: int = 0,
                 expected: int = 0):
        self._target = target
        self._image_id = image_id
        self._size = size
        self._expected = size or expected
        self._volume_id: str | None = None
        self._snapshot_id: str | None = None

    def run(self, source: Any, feature: str | None,
            digests: digests_mod.Digests) -> tuple[locations.Place, int]:
        """Carry it out.

        :param source: file-like, read from this thread only
        :param feature: what placement shall go by
        :returns: where the image is, and its length in bytes
        :raises SizeMismatch: the announced size is wrong
        :raises CinderError: no volume, no snapshot
        :raises CephError, rbd.Error, WriteFailed: the cluster fails
        """
        try:
            return self._run(source, feature, digests)
        except BaseException as error:
            LOG.warning('Image %s: upload failed, removing what there is '
                        'of it: %s', self._image_id, error)
            self._undo()
            raise

    def _run(self, source: Any, feature: str | None,
             digests: digests_mod.Digests) -> tuple[locations.Place, int]:
        target = self._target
        began = time.monotonic()
        chunks = self._checked(writing.chunks(source), digests)
        with futures.ThreadPoolExecutor(1) as pool:
            making = pool.submit(self._make_volume, feature)
            # The first data is read and hashed while Cinder works; a
            # bounded part of it, since it waits in memory.
            ahead = []
            for chunk in chunks:
                ahead.append(chunk)
                if making.done() or len(ahead) >= _AHEAD * target.in_flight:
                    break
            volume = making.result()
        made = time.monotonic()
        name = target.names[0] % volume.id
        with target.clusters.image(volume.fsid, volume.pool, name) as image:
            length, written = self._transfer(
                itertools.chain(ahead, chunks), image)
            digests.finish()
            if image.size() > length:
                image.resize(length)
        copied = time.monotonic()
        target.volumes.release(volume)
        if wish.volume_gib(length) > volume.size_gib:
            target.volumes.extend(volume.id, wish.volume_gib(length))
            with target.clusters.image(volume.fsid, volume.pool,
                                       name) as image:
                image.resize(length)  # Cinder made it whole GiB
        self._snapshot_id = target.volumes.snapshot(volume.id,
                                                    self._image_id)
        place = locations.Place(volume.fsid, volume.pool, name,
                                target.names[1] % self._snapshot_id)
        LOG.info('Image %s: %s bytes, %s of them written, at %s; volume '
                 '%.1f s, data %.1f s, snapshot %.1f s', self._image_id,
                 length, written, place.uri, made - began, copied - made,
                 time.monotonic() - copied)
        return place, length

    def _make_volume(self, feature: str | None) -> volumes_mod.Volume:
        self._volume_id = self._target.volumes.begin(
            self._image_id, wish.volume_gib(self._expected), feature,
            self._target.volume_type)
        return self._target.volumes.ready(self._volume_id)

    def _checked(self, chunks: Iterator[bytes],
                 digests: digests_mod.Digests) -> Iterator[bytes]:
        """Hash what passes; end with an error if its length is wrong."""
        length = 0
        for chunk in chunks:
            length += len(chunk)
            if self._size and length > self._size:
                raise SizeMismatch(self._size, 'more')
            digests.update(chunk)
            yield chunk
        if self._size and length != self._size:
            raise SizeMismatch(self._size, str(length))

    def _transfer(self, chunks: Iterable[bytes],
                  image: Any) -> tuple[int, int]:
        with writing.Writer(image, self._target.in_flight) as writer:
            for chunk in chunks:
                writer.write(chunk)
            writer.finish()
            return writer.position, writer.written

    def _undo(self) -> None:
        """Remove what was made; what cannot be removed is logged."""
        volumes = self._target.volumes
        try:
            if self._snapshot_id:
                volumes.discard_snapshot(self._snapshot_id)
            if self._volume_id:
                volumes.discard(self._volume_id)
        except volumes_mod.CinderError as error:
            LOG.error('Image %s: volume %s of a failed upload stays; delete '
                      'it once the cause is gone: %s', self._image_id,
                      self._volume_id, error)
