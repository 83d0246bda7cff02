# SPDX-License-Identifier: Apache-2.0
"""The volume driver for clusters with feature tags.

It is Cinder's RBD driver with these differences: it says what its cluster
is (tags and weight, among the statistics), keeps its connections, lives
through outages of its cluster, copies an image at most once to its cluster,
and moves volumes to other clusters.
"""

import atexit
from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import logging
import math
import threading
from typing import Any

from cinder import exception
from cinder.volume.drivers import rbd as cinder_rbd
from oslo_utils import units

from cinder_tagged import exceptions
from cinder_tagged import features
from cinder_tagged.ceph import errors
from cinder_tagged.ceph import probe
from cinder_tagged.features import wire
from cinder_tagged.volume import announce
from cinder_tagged.volume import aside
from cinder_tagged.volume import cluster
from cinder_tagged.volume import copying
from cinder_tagged.volume import doubtful
from cinder_tagged.volume import existing
from cinder_tagged.volume import kept
from cinder_tagged.volume import moving
from cinder_tagged.volume import options
from cinder_tagged.volume import stanza
from cinder_tagged.volume import whereabouts

LOG = logging.getLogger(__name__)

# Which option of the stanza a refusal of the cluster is about.
_OPTION = {'conf': 'rbd_ceph_conf', 'keyring': 'keyring (in ceph.conf)',
           'user': 'rbd_user', 'pool': 'rbd_pool'}


class TaggedRBDDriver(kept.KeptConnections):
    """RBD volumes in one of many clusters, found by feature tags."""

    VERSION = '1.0.0'
    CI_WIKI_NAME = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.configuration.append_config_values(options.TAGGED_OPTS)
        self._doubtful = doubtful.Doubtful(self.rbd, self._whereabouts)
        self._aside = aside.Aside()
        self._copies = copying.ImageCopies(self)
        self._stats_lock = threading.Lock()
        self._capacity: tuple[float | str, float | str] = (
            'unknown', 'unknown')
        self._provisioned_gib: int | None = None

    @classmethod
    def get_driver_options(cls) -> list[Any]:
        """Return the options that a stanza of this driver may hold."""
        return [*super().get_driver_options(), *options.TAGGED_OPTS]

    # -- setting up ---------------------------------------------------------

    def do_setup(self, context: Any) -> None:
        """Read the stanza, look for the cluster, begin to watch it.

        A cluster that does not answer is no error: it is watched until it
        does.

        :raises FeatureConfigError: something in the stanza, or in what it
            points to, cannot be used
        """
        stanza.read(self.configuration, '')
        if self._access is None:
            self._access = cluster.ClusterAccess(
                self.configuration, self.host or self._backend_name,
                lambda: self._active_config, self._cluster_changed,
                self._settle)
            atexit.register(self.close)
        self._replication_targets.clear()
        self._target_names.clear()
        super().do_setup(context)
        sample = self.access.begin()
        if sample.refusal is not None:
            self.access.monitor.stop()
            raise self._config_error(sample.refusal)
        stanza.check_against_others(
            self.feature, self.configuration,
            f'{type(self).__module__}.{type(self).__qualname__}')
        self._set_default_secret_uuid()
        LOG.info('Backend %(backend)s has the tags %(tags)s, weight '
                 '%(weight)g, and pool %(pool)s of cluster %(cluster)s, '
                 'fsid %(fsid)s.',
                 {'backend': self.feature.backend,
                  'tags': ', '.join(map(str, self.feature.tags)),
                  'weight': self.feature.weight,
                  'pool': self.feature.cluster.pool,
                  'cluster': self.feature.cluster.name,
                  'fsid': self.feature.cluster.fsid or '(not known yet)'})

    def check_for_setup_error(self) -> None:
        """Check what can be checked; pass over a cluster that is away."""
        try:
            super().check_for_setup_error()
        except exception.VolumeBackendAPIException:
            # It may have gone since the first probe.
            if self.access.monitor.check().state is not (
                    probe.State.UNREACHABLE):
                raise
            self._start_periodic_tasks()

    def close(self) -> None:
        """Let go of the cluster; the driver is of no use afterwards."""
        if self._access is not None:
            atexit.unregister(self.close)
            self._access.close()
            self._access = None

    @property
    def feature(self) -> features.SecondLevelFeature:
        """The second-level feature of this backend."""
        return stanza.read(self.configuration, self.access.fsid())

    def _config_error(
            self, refusal: errors.ClusterRefused
    ) -> exceptions.FeatureConfigError:
        return exceptions.FeatureConfigError(
            _OPTION[refusal.subject], refusal.value, refusal.remedy,
            f'[{stanza.name(self.configuration)}]')

    def _set_default_secret_uuid(self) -> None:
        # It defaults to the fsid, which a cluster that was never seen may
        # not have told yet.
        if self._active_config['secret_uuid'] or self.access.fsid():
            super()._set_default_secret_uuid()

    def _cluster_changed(self, before: probe.Sample | None,
                         after: probe.Sample) -> None:
        """Log that the cluster went or came, and tell the schedulers."""
        words = {'pool': self.configuration.rbd_pool,
                 'who': after.identity, 'reason': after.reason,
                 'seconds': after.seconds}
        if after.up:
            LOG.info('Pool %(pool)s answers %(who)s, within %(seconds).2f s.',
                     words)
            self._set_default_secret_uuid()
        else:
            LOG.error('Pool %(pool)s does not serve %(who)s; its backend is '
                      'reported down until it does: %(reason)s', words)
        if before is not None and self.initialized:
            self._aside.run('telling the schedulers of the backend state',
                            lambda: announce.publish(self.host))

    # -- statistics ---------------------------------------------------------

    def get_volume_stats(self, refresh: bool = False) -> dict[str, Any]:
        """Return the RBD driver's statistics and the feature.

        Takes what the watch saw last: it waits for no cluster, up or down.
        """
        with self._stats_lock:
            return dict(super().get_volume_stats(refresh))

    def _update_volume_stats(self) -> None:
        sample = self.access.monitor.latest
        if sample is not None and sample.capacity is not None:
            self._capacity = sample.capacity.gib(
                dynamic_total=self.configuration.report_dynamic_total_capacity)
        super()._update_volume_stats()
        self._stats.update(features.to_capabilities(self.feature))
        self._stats[wire.IMAGES] = self._copies.seen.told()
        if sample is None or not sample.up or self.access.monitor.stale:
            # Also the stock filters, which take "unknown" for "plenty",
            # must not send anything here.
            self._stats['backend_state'] = 'down'
            self._stats['free_capacity_gb'] = 0
            if self._stats['total_capacity_gb'] == 'unknown':
                self._stats['total_capacity_gb'] = 0

    def _get_pool_stats(self) -> tuple[float | str, float | str]:
        return self._capacity

    def _get_usage_info(self) -> int | None:
        # Only for pools that others use, too. Asks with the short limits of
        # the watch; when the cluster goes away meanwhile, the sum before
        # stays.
        limit = self.configuration.cluster_probe_deadline
        try:
            client, ioctx = self.access.connect(limit=limit)
        except errors.CephError:
            return self._provisioned_gib
        try:
            self._provisioned_gib = math.ceil(
                existing.total_size(self.rbd, ioctx) / units.Gi)
        except errors.LOST as exc:
            LOG.warning('The provisioned size was not summed up: %s', exc)
        finally:
            self._disconnect_from_rados(client, ioctx)
        return self._provisioned_gib

    # -- volumes ------------------------------------------------------------

    def create_volume(self, volume: Any) -> dict[str, Any]:
        """Make an image; take over an unused one from an earlier try.

        :raises VolumeBackendAPIException: the cluster did not answer in
            time, or another image of this name is there
        """
        if volume.encryption_key_id:
            return dict(super().create_volume(volume))
        return dict(self._again_if_fenced(self._create_image, volume))

    def _create_image(self, volume: Any) -> dict[str, Any]:
        chunk = self.configuration.rbd_store_chunk_size * units.Mi
        with cinder_rbd.RADOSClient(self) as client:
            shape = existing.Shape(int(volume.size) * units.Gi,
                                   chunk.bit_length() - 1, client.features)
            librbd = self.RBDProxy()
            try:
                librbd.create(client.ioctx, volume.name, shape.size,
                              shape.order, old_format=False,
                              features=shape.features)
            except self.rbd.ImageExists:
                existing.take_over(self.rbd, librbd, client.ioctx,
                                   volume.name, shape)
            except errors.GAVE_UP as exc:
                self._doubtful.add(volume.id, volume.name, shape)
                raise exception.VolumeBackendAPIException(
                    data=f'creating image {volume.name} was given up: {exc}'
                ) from exc
            try:
                return dict(self._setup_volume(volume))
            except Exception:
                LOG.error('Image %s could not be set up; it is removed.',
                          volume.name)
                librbd.remove(client.ioctx, volume.name)
                raise

    def _whereabouts(self, volume_id: str) -> whereabouts.Whereabouts:
        return whereabouts.look_up(volume_id, self.cluster_name or self.host,
                                   self.feature.cluster)

    def _settle(self) -> None:
        """Tidy up after creates that were given up, if the cluster is up."""
        sample = self.access.monitor.latest
        if sample is not None and sample.up and self._doubtful.names():
            self._aside.run('looking for images nobody needs',
                            lambda: self._doubtful.settle(self._ioctx))
        if sample is not None and sample.up and self._copies.sweep_due():
            self._aside.run('sweeping copies', self._copies.sweep)

    @contextlib.contextmanager
    def _ioctx(self) -> Iterator[Any]:
        with cinder_rbd.RADOSClient(self) as client:
            yield client.ioctx

    def clone_image(self, context: Any, volume: Any, image_location: Any,
                    image_meta: dict[str, Any],
                    image_service: Any) -> tuple[dict[str, Any], bool]:
        """Clone an image, or the seed of it if it is elsewhere."""
        update, cloned = super().clone_image(
            context, volume, image_location, image_meta, image_service)
        if cloned:
            return update, cloned
        return self._copies.clone_image(
            context, volume, image_location, image_meta, image_service)

    def migrate_volume(self, context: Any, volume: Any,
                       host: dict[str, Any]) -> tuple[bool, Any]:
        """Move a volume between pools or known clusters.

        :raises VolumeMigrationFailed: it stays where it is
        """
        if moving.Moves(self, self._copies).move(volume, host):
            return True, None
        moved: tuple[bool, Any] = super().migrate_volume(context, volume,
                                                         host)
        return moved

    def delete_volume(self, volume: Any) -> None:
        """Remove a volume's image; one that is gone already is fine."""
        self._again_if_fenced(super().delete_volume, volume)

    def _delete_volume(self, volume: Any, client: Any) -> None:
        # Most volumes have no snapshots: then there is nothing to look up
        # first, and removing says if that is not so.
        try:
            self.RBDProxy().remove(client.ioctx, volume.name)
        except self.rbd.ImageNotFound:
            LOG.info('Image %s is gone already.', volume.name)
        except (self.rbd.ImageHasSnapshots, self.rbd.ImageBusy):
            super()._delete_volume(volume, client)

    def _again_if_fenced(self, work: Callable[[Any], Any],
                         volume: Any) -> Any:
        """Do it again on another connection if this one was shut down.

        Only for work that may be done twice. The cluster refuses everything
        from a connection that it has shut down, so the first try is over.
        """
        try:
            return work(volume)
        except errors.FENCED as exc:
            LOG.warning('Work on %(name)s was cut short (%(exc)s) and is '
                        'done again on another connection.',
                        {'name': volume.name, 'exc': exc})
        return work(volume)
