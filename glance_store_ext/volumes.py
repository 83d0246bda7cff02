# SPDX-License-Identifier: Apache-2.0
"""Volumes and snapshots in Cinder, as a store of images needs them."""

from collections.abc import Callable
import contextlib
import dataclasses
import time
from typing import Any

from cinderclient import client as cinder_client
from cinderclient import exceptions as cinder_exceptions
from keystoneauth1 import exceptions as ksa_exceptions
from keystoneauth1 import loading
from oslo_log import log as logging

from cinder_tagged.features import wire
from cinder_tagged.placement import request

LOG = logging.getLogger(__name__)

#: Attachments need 3.27, extending with a reason 3.42, messages 3.5.
MICROVERSION = '3.44'
#: Metadata of a volume that holds an image.
IMAGE_KEY = 'glance_image_id'
#: First and longest pause between looks at a change of state, and how fast
#: pauses grow: an upload waits for two changes of some 0.3 s each.
_POLL_S = (0.1, 0.5)
_POLL_GROWTH = 1.15


class CinderError(Exception):
    """Cinder did not do what was asked.

    :param reason: one of ``quota``, ``refused``, ``failed``, ``busy``,
        ``timeout``, ``unreachable``
    """

    def __init__(self, reason: str, message: str):
        self.reason = reason
        super().__init__(message)


@dataclasses.dataclass(frozen=True, slots=True)
class Volume:
    """A volume and where it is.

    :param hold: id of the attachment that keeps others off it
    """

    id: str
    size_gib: int
    fsid: str
    pool: str
    hold: str = ''


class Volumes:
    """The volumes of one store, owned by the project of its credentials.

    :param client: of Cinder's API, as :func:`connect` makes it
    :param timeout: for one change of state, in seconds
    """

    def __init__(self, client: Any, timeout: int,
                 clock: Callable[[], float] = time.monotonic,
                 sleep: Callable[[float], None] = time.sleep):
        self._client = client
        self._timeout = timeout
        self._clock = clock
        self._sleep = sleep
        self._places: dict[str, tuple[str, str]] = {}

    def begin(self, image_id: str, size_gib: int, feature: str | None,
              volume_type: str | None) -> str:
        """Ask for a volume; returns its id at once.

        :raises CinderError: quota or refusal
        """
        with _errors():
            volume = self._client.volumes.create(
                size_gib, name=f'image-{image_id}',
                description='Data of an image', volume_type=volume_type,
                metadata={IMAGE_KEY: image_id},
                scheduler_hints={request.HINT: feature} if feature else None)
        LOG.info('Image %s: volume %s of %s GiB asked for, feature "%s"',
                 image_id, volume.id, size_gib, feature or '')
        return str(volume.id)

    def ready(self, volume_id: str) -> Volume:
        """Wait until a volume is there, and keep others off it.

        :raises CinderError: it cannot be made, with the reason that Cinder
            gives to users
        """
        with _errors():
            volume = self._await(self._client.volumes.get, volume_id,
                                 ('available',))
            # Reserved: nobody may attach, extend, move or delete it.
            hold = self._client.attachments.create(volume_id, None)
            fsid, pool = self.place(volume)
        return Volume(volume_id, int(volume.size), fsid, pool,
                      str(hold['id']))

    def release(self, volume: Volume) -> None:
        """Undo the reservation that :meth:`ready` made."""
        with _errors():
            # No service is asked: the volume is available at once.
            self._client.attachments.delete(volume.hold)

    def extend(self, volume_id: str, size_gib: int) -> None:
        """Make a volume larger.

        :raises CinderError: quota, refusal, no room
        """
        with _errors():
            self._client.volumes.extend(volume_id, size_gib)
            self._await(self._client.volumes.get, volume_id, ('available',))

    def snapshot(self, volume_id: str, image_id: str) -> str:
        """Take the snapshot that clones will stand on; returns its id."""
        with _errors():
            made = self._client.volume_snapshots.create(
                volume_id, name=f'image-{image_id}',
                metadata={IMAGE_KEY: image_id})
            self._await(self._client.volume_snapshots.get, made.id,
                        ('available',))
        return str(made.id)

    def discard_snapshot(self, snapshot_id: str) -> None:
        """Remove a snapshot; one that is gone already is no error.

        :raises CinderError: ``busy`` if clones need it
        """
        with _errors(), contextlib.suppress(cinder_exceptions.NotFound):
            self._client.volume_snapshots.delete(snapshot_id)
            self._await(self._client.volume_snapshots.get, snapshot_id, (),
                        busy=('available',))

    def discard(self, volume_id: str) -> None:
        """Remove a volume in whatever state; a gone one is no error.

        :raises CinderError: it stays
        """
        with _errors(), contextlib.suppress(cinder_exceptions.NotFound):
            for held in self._client.attachments.list(
                    search_opts={'volume_id': volume_id}):
                self._client.attachments.delete(held.id)
            volume = self._client.volumes.get(volume_id)
            if volume.status in ('creating', 'downloading', 'extending'):
                # Deleting under the hands of the volume service would
                # leave its RBD image behind.
                volume = self._settle(volume_id)
            if volume.status != 'deleting':
                self._client.volumes.force_delete(volume_id)
            self._await(self._client.volumes.get, volume_id, (),
                        busy=('available', 'error_deleting'))

    def of_images(self) -> list[Any]:
        """Return the volumes made for images, as the API shows them."""
        with _errors():
            return [volume for volume in self._client.volumes.list()
                    if IMAGE_KEY in volume.metadata]

    def discard_with_snapshots(self, volume_id: str) -> None:
        """Remove a volume and the snapshots on it.

        :raises CinderError: it stays
        """
        with _errors():
            found = self._client.volume_snapshots.list(
                search_opts={'volume_id': volume_id})
        for snapshot in found:
            self.discard_snapshot(snapshot.id)
        self.discard(volume_id)

    def _settle(self, volume_id: str) -> Any:
        with contextlib.suppress(CinderError):
            self._await(self._client.volumes.get, volume_id, ('available',))
        return self._client.volumes.get(volume_id)

    def _await(self, get: Callable[[str], Any], ident: str,
               wanted: tuple[str, ...], busy: tuple[str, ...] = ()) -> Any:
        """Poll until a state is reached.

        :param wanted: states to reach; none means "gone"
        :param busy: states that say that removing it failed; the API
            itself has left them before it answers
        """
        deadline = self._clock() + self._timeout
        pause, longest = _POLL_S
        while True:
            self._sleep(pause)
            thing = get(ident)
            if thing.status in wanted:
                return thing
            if thing.status in busy:
                raise CinderError('busy', f'{ident} is in use')
            if thing.status.startswith('error') and wanted:
                raise CinderError('failed', self._why(ident))
            if self._clock() > deadline:
                raise CinderError(
                    'timeout', f'{ident} is still {thing.status} after '
                    f'{self._timeout} s')
            pause = min(pause * _POLL_GROWTH, longest)

    def _why(self, ident: str) -> str:
        """Return what Cinder tells users about a failure."""
        told = [message.user_message for message
                in self._client.messages.list()
                if message.resource_uuid == ident]
        return told[0] if told else f'{ident} went to the state "error"'

    def place(self, volume: Any) -> tuple[str, str]:
        """Return fsid and pool of a volume as Cinder's API shows it.

        :raises CinderError: the backend is not known or not on Ceph
        """
        host = getattr(volume, 'os-vol-host-attr:host', None)
        if not host:
            raise CinderError(
                'refused', 'the credentials of this store may not see where '
                f'volume {volume.id} is; give their user the role admin')
        if host not in self._places:
            for pool in self._client.pools.list(detailed=True):
                found = place_of(pool.to_dict().get('capabilities') or
                                 pool.to_dict())
                if found:
                    self._places[pool.name] = found
        if host not in self._places:
            raise CinderError('failed', f'the backend {host} of volume '
                              f'{volume.id} is not on a Ceph cluster')
        return self._places[host]


def place_of(capabilities: dict[str, Any]) -> tuple[str, str] | None:
    """Return fsid and pool that a backend reports, None if it is not RBD.

    Both the tagged driver and Cinder's own tell them.
    """
    if capabilities.get(wire.FSID):
        return str(capabilities[wire.FSID]), str(capabilities[wire.POOL])
    parts = str(capabilities.get('location_info') or '').split(':')
    # ceph:CONF:FSID:USER:POOL
    return (parts[2], parts[4]) if parts[0] == 'ceph' and len(
        parts) == 5 else None


def connect(conf: Any, group: str, timeout: int, catalog_info: str,
            region: str | None) -> Any:
    """Return a client of Cinder's API with the credentials of a store.

    :param group: section of the configuration that holds them
    :raises CinderError: there are none
    """
    auth = loading.load_auth_from_conf_options(conf, group)
    if auth is None:
        raise CinderError(
            'refused', f'[{group}] auth_type is not set: give the store '
            'credentials of a user with the role admin in a project that '
            'shall own the volumes of images')
    session = loading.session.Session().load_from_options(
        auth=auth, timeout=timeout)
    service, name, interface = catalog_info.split(':')
    return cinder_client.Client(
        MICROVERSION, session=session, service_type=service,
        service_name=name or None, interface=interface, region_name=region)


@contextlib.contextmanager
def _errors() -> Any:
    """Turn what Cinder's client raises into CinderError."""
    try:
        yield
    except cinder_exceptions.OverLimit as error:
        raise CinderError('quota', str(error)) from error
    except (cinder_exceptions.BadRequest, cinder_exceptions.Forbidden,
            cinder_exceptions.NotFound) as error:
        raise CinderError('refused', str(error)) from error
    except (cinder_exceptions.ClientException,
            ksa_exceptions.ClientException) as error:
        raise CinderError('unreachable', str(error)) from error
