# SPDX-License-Identifier: Apache-2.0
"""Keystone: users, tokens, and the catalogue of the other services."""

import base64
from collections.abc import Mapping
from collections.abc import Sequence
import os
from pathlib import Path
from typing import Any

from devstack.sandbox.database import Database
from devstack.sandbox.layout import Layout
from devstack.sandbox.part import Part
from devstack.sandbox.process import run
from devstack.sandbox.process import Service
from devstack.sandbox.wsgi import answers
from devstack.sandbox.wsgi import wsgi_service

REGION = 'RegionOne'
# Service users beside the admin and the demo user.
SERVICE_USERS = ('cinder', 'glance', 'nova', 'placement')
# Where an endpoint points to until its service has a port.
# What clients call the services of the catalogue.
_SERVICE_NAMES = {
    'block-storage': 'cinder', 'compute': 'nova', 'image': 'glance',
    'network': 'neutron', 'placement': 'placement'}
_NOWHERE = 'http://127.0.0.1:9'


class Keystone(Part):
    """The identity service."""

    name = 'keystone'
    needs = ('database',)
    databases = ('keystone',)

    def __init__(self, layout: Layout, database: Database) -> None:
        super().__init__(layout)
        self.database = database
        #: Where the catalogue shall point to, by service type.
        self.endpoints: Mapping[str, str] = {}
        self.conf = layout.state / 'keystone' / 'keystone.conf'
        self.api = wsgi_service(
            layout, 'keystone', 'keystone.wsgi.api:application',
            env={'OS_KEYSTONE_CONFIG_FILES': str(self.conf)})

    @property
    def services(self) -> Sequence[Service]:
        return (self.api,)

    @property
    def auth_url(self) -> str:
        """The URL to authenticate at."""
        return f'{self.layout.url("keystone")}/v3'

    def configure(self) -> None:
        for kind in ('fernet-keys', 'credential-keys'):
            for number in (0, 1):
                self.layout.write(
                    f'keystone/{kind}/{number}',
                    base64.urlsafe_b64encode(os.urandom(32)).decode())
        keys = self.layout.state / 'keystone'
        self.layout.write_conf('keystone/keystone.conf', {
            'DEFAULT': {'public_endpoint': self.layout.url('keystone')},
            'database': {'connection': self.layout.database_url('keystone')},
            # Without a cache a token check takes half a second.
            'cache': {'enabled': 'true', 'backend': 'oslo_cache.dict'},
            'identity': {'password_hash_rounds': 4},
            'fernet_tokens': {'key_repository': keys / 'fernet-keys'},
            'fernet_receipts': {'key_repository': keys / 'fernet-keys'},
            'credential': {'key_repository': keys / 'credential-keys'},
            'token': {'expiration': 24 * 3600},
        })

    def start(self) -> None:
        for kind, url in self.endpoints.items():
            self.database.execute(
                'UPDATE endpoint JOIN service'
                ' ON endpoint.service_id = service.id'
                ' SET endpoint.url = %s WHERE service.type = %s',
                url, kind, database='keystone')
        self.api.start()
        self.api.wait_ready(lambda: answers(self.auth_url))

    def schema_commands(self) -> list[list[str | Path]]:
        manage = self.layout.program('keystone-manage')
        return [[manage, '--config-file', self.conf, 'db_sync']]

    # -- filling an empty database ------------------------------------------

    def populate(self) -> None:
        """Make users, roles and the catalogue; Keystone must not run yet."""
        run([self.layout.program('keystone-manage'), '--config-file',
             self.conf, 'bootstrap', '--bootstrap-region-id', REGION,
             '--bootstrap-public-url', self.auth_url,
             '--bootstrap-internal-url', self.auth_url],
            env={**os.environ, **self.layout.environment(),
                 'OS_BOOTSTRAP_PASSWORD': self.layout.password('admin')})
        self.start()
        identity = self.connect('admin').identity
        for kind in self.endpoints.keys() - {'identity'}:
            service = identity.create_service(
                type=kind, name=_SERVICE_NAMES[kind])
            for interface in ('public', 'internal'):
                identity.create_endpoint(
                    service_id=service.id, interface=interface,
                    url=_NOWHERE, region_id=REGION)
        self._create_users(identity)

    def _create_users(self, identity: Any) -> None:
        roles = {role.name: role for role in identity.roles()}
        for project_name, users, role_names in (
                ('service', SERVICE_USERS, ('admin', 'service')),
                ('demo', ('demo',), ('member',))):
            project = identity.create_project(
                name=project_name, domain_id='default')
            for name in users:
                user = identity.create_user(
                    name=name, domain_id='default',
                    default_project_id=project.id,
                    password=self.layout.password(name))
                for role in role_names:
                    identity.assign_project_role_to_user(
                        project, user, roles[role])

    def catalogue(self) -> dict[str, str]:
        return {'identity': self.auth_url}

    # -- clients ------------------------------------------------------------

    def credentials(self, user: str) -> dict[str, str]:
        """Return keystoneauth's password parameters of a user."""
        project = user if user in ('admin', 'demo') else 'service'
        return {
            'auth_url': self.auth_url, 'username': user,
            'password': self.layout.password(user),
            'project_name': project, 'user_domain_id': 'default',
            'project_domain_id': 'default'}

    def service_auth(self, user: str) -> dict[str, str]:
        """Return the options with which a service authenticates."""
        return {'auth_type': 'password', 'region_name': REGION,
                **self.credentials(user)}

    def connect(self, user: str, **options: Any) -> Any:
        """Return an openstacksdk connection.

        :param options: settings of the cloud, as in clouds.yaml
        """
        import openstack  # takes a second: only where it is needed
        return openstack.connect(
            load_yaml_config=False, load_envvars=False,
            region_name=REGION, auth=self.credentials(user), **options)

    def token_middleware(self, user: str) -> dict[str, str]:
        """Return the section [keystone_authtoken] of a service."""
        return {**self.service_auth(user),
                'www_authenticate_uri': self.auth_url,
                'service_token_roles': 'service',
                'service_token_roles_required': 'true'}
