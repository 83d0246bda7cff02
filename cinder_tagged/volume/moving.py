# SPDX-License-Identifier: Apache-2.0
"""Moving a volume to another cluster.

The source is only read until the copy is complete, recorded and checked;
then it is deleted. Whatever happens before leaves it as it was.
"""

import logging
import time
from typing import Any

from cinder import exception
from cinder.volume.drivers import rbd as cinder_rbd
import rados
import rbd

from cinder_tagged.ceph import errors as ceph_errors
from cinder_tagged.copy import copier
from cinder_tagged.copy import errors
from cinder_tagged.copy import fence
from cinder_tagged.copy import launcher
from cinder_tagged.copy import ledger as ledger_mod
from cinder_tagged.copy import spec
from cinder_tagged.copy import target as target_mod
from cinder_tagged.copy.core import decision
from cinder_tagged.copy.core.record import Record
from cinder_tagged.volume.copying import ImageCopies

LOG = logging.getLogger(__name__)

_STATUSES = ('available', 'retyping', 'maintenance')
# What an image can be made with; the rest is set by its use.
_FEATURES = (rbd.RBD_FEATURE_LAYERING | rbd.RBD_FEATURE_EXCLUSIVE_LOCK
             | rbd.RBD_FEATURE_OBJECT_MAP | rbd.RBD_FEATURE_FAST_DIFF
             | rbd.RBD_FEATURE_DEEP_FLATTEN)
# Settings of single images, quality of service among them.
_SETTINGS = 'conf_'
_USER_SNAPSHOT = 'snapshot-'


class Moves:
    """Moves volumes of one backend.

    :param driver: the RBD driver of the backend
    :param copies: of the same backend
    """

    def __init__(self, driver: Any, copies: ImageCopies) -> None:
        self._driver = driver
        self._copies = copies

    def move(self, volume: Any, host: dict[str, Any]) -> bool:
        """Move a volume, if its way is open.

        :param host: the destination, with the capabilities it reports
        :returns: False if it is for Cinder's own ways of migrating
        :raises VolumeMigrationFailed: it cannot be moved, or moving failed;
            the source is untouched
        """
        place = self._destination(volume, host)
        if place is None:
            return False
        source = spec.RbdImage(self._copies.place(), volume.name)
        try:
            job = self._job(volume, source, place)
            if job is None:
                return self._was_moved(volume, place)
            record = self._copy(volume, job)
            self._check(volume, job, record)
        except errors.LeaseHeld as exc:
            raise self._failed(volume, 'it is being moved already') from exc
        except (errors.CopyError, ceph_errors.CephError, rados.Error,
                rbd.Error, OSError) as exc:
            raise self._failed(volume, str(exc)) from exc
        self._delete_source(volume, place)
        return True

    def _copy(self, volume: Any, job: spec.Job) -> Record:
        """Copy; wait for the lease of a mover that died.

        Cinder has one service at a time work on a volume.

        :raises LeaseHeld: the other one lives
        """
        until = time.monotonic() + 2 * job.lease_s
        while True:
            try:
                return launcher.copy(job, report=self._report(volume))
            except errors.LeaseHeld:
                if time.monotonic() > until:
                    raise
                time.sleep(1)

    def _destination(self, volume: Any,
                     host: dict[str, Any]) -> spec.Place | None:
        """Return where the volume goes; None if this is not our way."""
        where = str(host['capabilities'].get('location_info') or '')
        if where.count(':') != 4 or volume.status not in _STATUSES:
            return None
        _cluster, _conf, fsid, _user, pool = where.split(':')
        if fsid == self._driver.access.fsid():
            return None
        identity = self._copies.clusters.find(fsid)
        if identity is None:
            LOG.warning('Volume %(volume)s goes to cluster %(fsid)s by '
                        "Cinder's generic copy: no backend and none of "
                        'copy_sources in this configuration file is in '
                        'that cluster.',
                        {'volume': volume.id, 'fsid': fsid})
            return None
        return spec.Place(identity, pool)

    def _job(self, volume: Any, source: spec.RbdImage,
             place: spec.Place) -> spec.Job | None:
        """Return what to do; None if the source is gone already.

        :raises VolumeMigrationFailed: snapshots or users are in the way
        """
        with cinder_rbd.RADOSClient(self._driver) as client:
            try:
                image = rbd.Image(client.ioctx, volume.name, read_only=True)
            except rbd.ImageNotFound:
                return None
            with image:
                self._check_free(volume, client.ioctx, image)
                features = image.features() & _FEATURES
                settings = tuple(
                    (key, value) for key, value in image.metadata_list()
                    if key.startswith(_SETTINGS))
        return spec.Job(
            volume.name, place, f'volume {volume.id} in cluster '
            f'{self._driver.access.fsid()}', source=source,
            order=self._copies.order(), features=features,
            lease_s=self._driver.configuration.copy_lease,
            flow=self._copies.flow(), settings=settings)

    def _check_free(self, volume: Any, ioctx: Any, image: Any) -> None:
        snapshots = [snap['name'] for snap in image.list_snaps()
                     if snap['name'].startswith(_USER_SNAPSHOT)]
        if snapshots:
            raise self._failed(
                volume, f'it has snapshots ({", ".join(snapshots)}), and '
                'they cannot go along; delete them first')
        users = fence.writers(ioctx, volume.name)
        if users:
            raise self._failed(
                volume, f'it is in use by {", ".join(sorted(users))}, '
                f'although it is {volume.status}')

    def _check(self, volume: Any, job: spec.Job, record: Record) -> None:
        """Look at both once more before the source goes.

        :raises VolumeMigrationFailed: they differ in size, or the source
            came into use; the copy is removed
        """
        with cinder_rbd.RADOSClient(self._driver) as client:
            found = target_mod.look(client.ioctx, volume.name)
            users = fence.writers(client.ioctx, volume.name)
        if found is not None and found.size == record.size and not users:
            return
        launcher.sweep(spec.Chore(job.place, drop=(volume.name,),
                                  lease_s=job.lease_s))
        raise self._failed(
            volume, f'it changed meanwhile: {found}, used by '
            f'{", ".join(sorted(users)) or "nobody"}')

    def _delete_source(self, volume: Any, place: spec.Place) -> None:
        """Delete the source; from here on the copy is the volume."""
        LOG.info('Volume %(volume)s is complete in pool %(pool)s of '
                 '%(where)s; its source goes.',
                 {'volume': volume.id, 'pool': place.pool,
                  'where': place.identity})
        try:
            self._driver.delete_volume(volume)
        except Exception:
            # Part of it may be gone, so there is no way back.
            LOG.exception(
                'Volume %(volume)s was moved, but its source, image '
                '%(image)s in pool %(pool)s, could not be deleted. Remove '
                'it by hand.', {
                    'volume': volume.id, 'image': volume.name,
                    'pool': self._copies.place().pool})

    def _was_moved(self, volume: Any, place: spec.Place) -> bool:
        """Finish a move whose service died after it deleted the source.

        :raises VolumeMigrationFailed: there is no such move
        """
        with copier.opened(place) as (_client, ioctx):
            record = ledger_mod.Ledger(ioctx).read(volume.name).record
            found = target_mod.look(ioctx, volume.name)
        if not decision.intact(record, found):
            raise self._failed(volume, 'its image is missing')
        LOG.warning('Volume %(volume)s had been moved to %(where)s before; '
                    'only that was not noted.',
                    {'volume': volume.id, 'where': place.identity})
        return True

    @staticmethod
    def _failed(volume: Any, why: str) -> exception.VolumeMigrationFailed:
        return exception.VolumeMigrationFailed(
            reason=f'volume {volume.id} stays where it is: {why}')

    @staticmethod
    def _report(volume: Any) -> launcher.Report:
        return launcher.Reporter(f'volume {volume.id}')
