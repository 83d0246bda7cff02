# SPDX-License-Identifier: Apache-2.0
"""What is read from Cinder's REST API, and the one request that changes.

Requests have the deadline of the connection. A request that did not come
through is told by its own error, so that the caller can try again.
"""

from collections.abc import Iterable
from collections.abc import Iterator
from typing import Any

from keystoneauth1 import exceptions as auth_exceptions
from openstack import exceptions as sdk_exceptions

from cinder_tagged import exceptions
from cinder_tagged import placement
from cinder_tagged.cli import asking
from cinder_tagged.cli import report
from cinder_tagged.cli import rest
from cinder_tagged.moves import errors
from cinder_tagged.moves import model
from cinder_tagged.moves import obstacles

#: Volumes tell their cluster of services from here on.
_VOLUMES = '3.61'
#: A volume can be migrated to a cluster of services from here on.
_MIGRATE = '3.16'
_PAGE = 500


class Unreachable(errors.MovesError):
    """Cinder gave no answer; it may give one later."""


class Refused(errors.MovesError):
    """Cinder will not do it."""


class Cloud:
    """Cinder of one cloud, with an administrator's rights.

    :param client: openstacksdk's block storage proxy
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._rest = rest.Cloud(client)

    def storage(self) -> report.Storage:
        """Return every backend."""
        return report.read_storage(self._rest.pools(), self._rest.services())

    def clustered(self) -> frozenset[str]:
        """Return the backends that clusters of services serve."""
        return frozenset(service['cluster']
                         for service in self._rest.services()
                         if service.get('cluster'))

    def volumes(self, storage: report.Storage,
                extra: str = '') -> list[model.Volume]:
        """Return every volume of every project.

        :param storage: every backend
        :param extra: condition on tags, for all of them
        :raises ExpressionError: it cannot be read
        :raises MovesError: a volume type asks for something unreadable
        """
        wishes = self._wishes([p.backend for p in storage.pools], extra)
        snapshots = self._snapshots()
        return [self._volume(answer, snapshots.get(answer['id'], 0),
                             wishes.get(answer.get('volume_type') or '',
                                        wishes['']))
                for answer in self._pages('volumes', _VOLUMES)]

    def volume(self, volume_id: str) -> model.Volume | None:
        """Return one volume; None if there is no such.

        Its wish is left out.

        :raises Unreachable: no answer
        """
        try:
            answer = self._get(f'/volumes/{volume_id}',
                               microversion=_VOLUMES)['volume']
            found = self._get('/snapshots', params={
                'all_tenants': '1', 'volume_id': volume_id})['snapshots']
        except sdk_exceptions.NotFoundException:
            return None
        return self._volume(answer, len(found), model.Wish())

    def move(self, volume_id: str, target: str, clustered: bool) -> None:
        """Ask Cinder to move a volume; others cannot use it meanwhile.

        :param clustered: the target is a cluster of services
        :raises Refused: Cinder does not
        :raises Unreachable: nobody knows whether it does
        """
        where = 'cluster' if clustered else 'host'
        try:
            sdk_exceptions.raise_from_response(self._client.post(
                f'/volumes/{volume_id}/action', microversion=_MIGRATE,
                json={'os-migrate_volume': {
                    where: target, 'lock_volume': True}}))
        except sdk_exceptions.HttpException as error:
            if not error.status_code or error.status_code >= 500:
                raise Unreachable(f'Cinder: {error}') from error
            raise Refused(f'Cinder refuses: {error}') from error
        except auth_exceptions.ClientException as error:
            raise Unreachable(f'Cinder: {error}') from error

    # -- reading --------------------------------------------------------------

    def _get(self, path: str, **kwargs: Any) -> Any:
        try:
            answer = self._client.get(path, **kwargs)
            sdk_exceptions.raise_from_response(answer)
        except sdk_exceptions.NotFoundException:
            raise
        except (sdk_exceptions.SDKException,
                auth_exceptions.ClientException) as error:
            raise Unreachable(f'Cinder: {error}') from error
        return answer.json()

    def _pages(self, kind: str, microversion: str,
               ) -> Iterator[dict[str, Any]]:
        params = {'all_tenants': '1', 'limit': str(_PAGE)}
        while True:
            found = self._get(f'/{kind}/detail', params=params,
                              microversion=microversion)[kind]
            yield from found
            # A last page that is full is followed by an empty one.
            if not found:
                return
            params['marker'] = found[-1]['id']

    def _snapshots(self) -> dict[str, int]:
        counts: dict[str, int] = {}
        for snapshot in self._pages('snapshots', '3.0'):
            volume = snapshot['volume_id']
            counts[volume] = counts.get(volume, 0) + 1
        return counts

    def _wishes(self, names: Iterable[str],
                extra: str) -> dict[str, model.Wish]:
        """Return by name of the volume type what its volumes ask for."""
        hints = {placement.HINT: extra} if extra else None
        wishes = {'': model.Wish(placement.requirement(None, hints))}
        for found in self._rest.types():
            specs = found.extra_specs
            try:
                require = placement.requirement(specs, hints)
            except exceptions.ExpressionError as error:
                raise errors.MovesError(
                    f'volume type {found.name}: {error}') from error
            others = asking.others(specs)
            wishes[found.name] = model.Wish(
                require, self._refused(found, names) if others
                else frozenset(), placement.is_thin(specs), others)
        return wishes

    def _refused(self, found: rest.VolumeType,
                 names: Iterable[str]) -> frozenset[str]:
        """Return the backends that Cinder's own filters refuse."""
        accepted = {answer['name'] for answer in self._rest.pools(found.id)}
        return frozenset(names) - accepted

    @staticmethod
    def _volume(answer: dict[str, Any], snapshots: int,
                wish: model.Wish) -> model.Volume:
        backend = (answer.get('cluster_name')
                   or answer.get('os-vol-host-attr:host') or '')
        return model.Volume(
            answer['id'], answer.get('name') or '', int(answer['size']),
            backend, obstacles.obstacle(answer, snapshots),
            answer.get('migration_status') or '', wish)
