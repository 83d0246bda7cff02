# SPDX-License-Identifier: Apache-2.0
"""What the commands read from Cinder's REST API, and nothing else."""

from collections.abc import Iterator
import contextlib
import dataclasses
from typing import Any

from openstack import exceptions as sdk_exceptions
from osc_lib import exceptions

from cinder_tagged.volume_types import plan

#: get_pools takes ``volume_type`` from here on.
_POOLS_BY_TYPE = '3.35'
#: os-services shows clusters (3.7) and what backends report (3.49).
_SERVICES = '3.49'


class NotAllowed(exceptions.CommandError):
    """The user may not see what the command needs."""


@dataclasses.dataclass(frozen=True)
class VolumeType(plan.ExistingType):
    """A volume type, with what REST knows beyond the plan's view."""

    id: str = ''


@dataclasses.dataclass(frozen=True)
class Volume:
    """A volume, as far as placement is concerned.

    :param host: where it is; None unless the user is an administrator
    """

    id: str
    name: str
    size_gb: int
    status: str
    type_name: str | None
    host: str | None
    metadata: dict[str, str]


@contextlib.contextmanager
def _needing(what: str, rule: str) -> Iterator[None]:
    try:
        yield
    except sdk_exceptions.ForbiddenException as error:
        raise NotAllowed(
            f'{what} needs administrator rights (policy rule {rule}); use '
            'credentials with the admin role') from error


class Cloud:
    """Cinder of one cloud.

    :param client: openstacksdk's block storage proxy, as the openstack
        client makes it
    """

    def __init__(self, client: Any):
        self._client = client

    @classmethod
    def of(cls, app: Any) -> 'Cloud':
        """Return the cloud that the openstack client is to talk to."""
        return cls(app.client_manager.volume)

    def _get(self, path: str, **kwargs: Any) -> Any:
        answer = self._client.get(path, **kwargs)
        sdk_exceptions.raise_from_response(answer)
        return answer.json()

    def pools(self, type_id: str | None = None) -> list[dict[str, Any]]:
        """Return what the backends report, each with name, capabilities.

        :param type_id: only those that Cinder's own filters accept for the
            type
        :raises NotAllowed: the user is no administrator
        """
        query = {'detail': 'true'}
        if type_id:
            query['volume_type'] = type_id
        with _needing("reading the backends' reports",
                      'scheduler_extension:scheduler_stats:get_pools'):
            answer = self._get('/scheduler-stats/get_pools', params=query,
                               microversion=_POOLS_BY_TYPE)
        return list(answer['pools'])

    def services(self) -> list[dict[str, Any]]:
        """Return Cinder's services, as ``/os-services`` gives them.

        :raises NotAllowed: the user is no administrator
        """
        with _needing("reading Cinder's services",
                      'volume_extension:services:index'):
            answer = self._get('/os-services', microversion=_SERVICES)
        return list(answer['services'])

    def types(self) -> list[VolumeType]:
        """Return every volume type that the user may see."""
        return [_volume_type(found)
                for found in self._client.types(is_public='None')]

    def find_type(self, name_or_id: str) -> VolumeType:
        """Return one volume type.

        :raises CommandError: there is none
        """
        found = self._client.find_type(name_or_id)
        if found is None:
            raise exceptions.CommandError(
                f'--type {name_or_id}: no such volume type; "openstack '
                'volume type list" shows them')
        return _volume_type(found)

    def default_type(self) -> VolumeType | None:
        """Return the type of volumes that are made without one."""
        try:
            return _volume_type(self._client.get_type('default'))
        except sdk_exceptions.NotFoundException:
            return None

    def create_type(self, wanted: plan.NewType) -> bool:
        """Make a volume type.

        :returns: False if somebody else just made it
        :raises NotAllowed: the user is no administrator
        """
        with _needing('making volume types',
                      'volume_extension:type_create'):
            try:
                self._client.create_type(
                    name=wanted.name, description=wanted.description,
                    extra_specs=wanted.extra_specs, is_public=True)
            except sdk_exceptions.ConflictException:
                return False
        return True

    def volume(self, name_or_id: str) -> Volume:
        """Return one volume.

        :raises CommandError: there is none, or several have the name
        """
        try:
            found = self._client.find_volume(name_or_id)
        except sdk_exceptions.DuplicateResource as error:
            raise exceptions.CommandError(
                f'--volume {name_or_id}: several volumes have this name; '
                'give the ID of one') from error
        if found is None:
            raise exceptions.CommandError(
                f'--volume {name_or_id}: no such volume; give its ID, or the '
                'name of a volume in your project')
        return Volume(found.id, found.name or '', int(found.size),
                      found.status, found.volume_type, found.host,
                      dict(found.metadata or {}))


def _volume_type(found: Any) -> VolumeType:
    return VolumeType(
        name=found.name, extra_specs=dict(found.extra_specs or {}),
        description=found.description or '',
        is_public=found.is_public is not False, id=found.id)
