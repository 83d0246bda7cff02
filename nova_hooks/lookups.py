# SPDX-License-Identifier: Apache-2.0
"""Volume types and quotas, asked of Cinder.

Cinder is asked with the credentials of ``[cinder]`` in nova.conf, since
users may not see the extra specs of volume types.
"""

from collections.abc import Callable
import contextlib
import dataclasses
import threading
import time
from typing import Any

from cinderclient import client as cinder_client
from cinderclient import exceptions as cinder_exceptions
from keystoneauth1 import exceptions as ksa_exceptions
from keystoneauth1 import loading
from oslo_config import cfg
from oslo_log import log as logging

from cinder_tagged import features
from nova_hooks import asking
from nova_hooks import errors
from nova_hooks import opts
from nova_hooks import quota
from nova_hooks import types

LOG = logging.getLogger(__name__)

#: HTTP status of "there is one already"; cinderclient has no class for it.
_CONFLICT = 409


class Cinder:
    """Volume types and quotas.

    :param conf: nova.conf, with the groups ``cinder`` and ``feature_disks``
    """

    def __init__(self, conf: cfg.ConfigOpts,
                 clock: Callable[[], float] = time.monotonic):
        self._conf = conf
        self._clock = clock
        self._lock = threading.Lock()
        self._client: Any = None
        self._types: list[types.VolumeType] = []
        self._read_at: float | None = None

    def volume_type(self, expression: features.Expression,
                    project: str) -> types.VolumeType:
        """Return a type that the project may use for an expression.

        :raises BadRequest: there is none, and none may be derived
        :raises NotReady: Cinder or Keystone does not answer
        """
        with _answers(), self._lock:
            choice = types.choose(self._listed(expression), expression,
                                  project)
            if choice.found is None:
                # Another worker may have made one since.
                self._read_at = None
                choice = types.choose(self._listed(expression), expression,
                                      project)
            if choice.found is None:
                return self._derive(expression, project)
            if choice.open:
                self._let_in(choice.found, project)
            return choice.found

    def usage(self, project: str) -> quota.Usage:
        """Return a project's quotas with what is used of them.

        :raises NotReady: Cinder or Keystone does not answer
        """
        with _answers():
            answer = self.client().quotas.get(project, usage=True)
            return {name: value
                    for name, value in answer.to_dict().items()
                    if isinstance(value, dict)}

    def client(self) -> Any:
        """Return the client of Cinder's API, made at first use.

        :raises NotReady: nova.conf has no credentials in [cinder]
        """
        if self._client is None:
            group = self._conf.cinder
            auth = loading.load_auth_from_conf_options(self._conf, 'cinder')
            if auth is None:
                LOG.error('A server with a feature was refused: set '
                          'auth_type and the credentials of a user that '
                          'may list volume types in [cinder] of nova.conf')
                raise errors.NotReady(
                    'Features are not available: the compute service has '
                    'no credentials for the volume service.')
            session = loading.load_session_from_conf_options(
                self._conf, 'cinder', auth=auth,
                timeout=group.timeout or self._conf[opts.GROUP].timeout)
            service, name, interface = group.catalog_info.split(':')
            self._client = cinder_client.Client(
                '3.0', session=session, service_type=service,
                service_name=name or None, interface=interface,
                region_name=group.os_region_name,
                connect_retries=group.http_retries)
        return self._client

    def _listed(self, expression: features.Expression,
                ) -> list[types.VolumeType]:
        """Return the types that say an expression, private ones complete.
        """
        now = self._clock()
        if (self._read_at is None or now - self._read_at
                >= self._conf[opts.GROUP].cache_seconds):
            self._types = [_volume_type(raw) for raw in
                           self.client().volume_types.list(is_public=None)]
            self._read_at = now
        return [t if t.public else self._with_projects(t)
                for t in self._types if types.says(t, expression)]

    def _with_projects(self, private: types.VolumeType) -> types.VolumeType:
        access = self.client().volume_type_access.list(private.id)
        return dataclasses.replace(private, projects=frozenset(
            a.project_id for a in access))

    def _derive(self, expression: features.Expression,
                project: str) -> types.VolumeType:
        settings = self._conf[opts.GROUP]
        derived = sum(t.derived for t in self._types)
        if (not settings.derive_volume_types
                or derived >= settings.max_derived_types):
            raise errors.BadRequest(
                f'No volume type asks for "{expression}". Ask the operator '
                f'for one with the extra spec {asking.EXTRA_SPEC}='
                f'"{expression}", or name the feature of an existing one.')
        name = types.derived_name(expression)
        client = self.client()
        try:
            raw = client.volume_types.create(
                name, 'Made for system disks that ask for this feature',
                is_public=False)
        except cinder_exceptions.ClientException as error:
            if error.code != _CONFLICT:
                raise
            return self._made_elsewhere(expression, project)
        try:
            raw.set_keys({asking.EXTRA_SPEC: str(expression),
                          types.DERIVED_SPEC: 'true'})
            client.volume_type_access.add_project_access(raw.id, project)
        except Exception:
            # Without its extra spec the type would place disks anywhere.
            client.volume_types.delete(raw.id)
            raise
        LOG.info('Volume type %s (%s) derived for project %s',
                 name, raw.id, project)
        self._read_at = None
        return types.VolumeType(raw.id, name, str(expression), False, True,
                                frozenset((project,)))

    def _made_elsewhere(self, expression: features.Expression,
                        project: str) -> types.VolumeType:
        """Use the type that another worker made at the same time."""
        self._read_at = None
        choice = types.choose(self._listed(expression), expression, project)
        if choice.found is None:
            raise errors.NotReady(
                f'The volume type for "{expression}" is being made; try '
                'again.')
        if choice.open:
            self._let_in(choice.found, project)
        return choice.found

    def _let_in(self, derived: types.VolumeType, project: str) -> None:
        try:
            self.client().volume_type_access.add_project_access(
                derived.id, project)
        except cinder_exceptions.ClientException as error:
            if error.code != _CONFLICT:  # another worker was quicker
                raise
        LOG.info('Volume type %s opened to project %s', derived.name,
                 project)


def _volume_type(raw: Any) -> types.VolumeType:
    specs = getattr(raw, 'extra_specs', None) or {}
    return types.VolumeType(
        raw.id, raw.name, specs.get(asking.EXTRA_SPEC),
        bool(getattr(raw, 'is_public', True)), types.DERIVED_SPEC in specs)


@contextlib.contextmanager
def _answers() -> Any:
    """Turn what Cinder's client raises into NotReady."""
    try:
        yield
    except (cinder_exceptions.ClientException,
            ksa_exceptions.ClientException) as error:
        LOG.error('The volume service was asked in vain: %s', error)
        raise errors.NotReady(
            'Features are not available: the volume service does not '
            'answer the compute service. Try again later.') from error
