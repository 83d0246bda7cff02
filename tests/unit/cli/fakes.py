# SPDX-License-Identifier: Apache-2.0
"""Cinder's REST answers, in the shapes that the real service gives.

Requests go through openstacksdk's real block storage proxy; only the wire
beneath is replaced.
"""

import io
import types

from keystoneauth1 import session
from keystoneauth1 import token_endpoint
from openstack import connection
from oslotest import base
from requests_mock.contrib import fixture as requests_fixture

URL = 'http://cinder.example/v3'
_VERSION = {'versions': [{
    'id': 'v3.0', 'status': 'CURRENT', 'version': '3.71',
    'min_version': '3.0', 'updated': '2023-08-31T00:00:00Z',
    'links': [{'rel': 'self', 'href': URL + '/'}]}]}


def pool(stanza, tags='medium:ssd,public', weight=1.0, host='node1',
         total=1000.0, provisioned=0.0, **caps):
    """Return one item of get_pools, as the tagged driver reports."""
    name = f'{host}@{stanza}#volumes'
    answer = {
        'vendor_name': 'Open Source', 'driver_version': '1.3.0',
        'storage_protocol': 'ceph', 'total_capacity_gb': total,
        'free_capacity_gb': total - provisioned / 10,
        'reserved_percentage': 0, 'multiattach': True,
        'thin_provisioning_support': True, 'backend_state': 'up',
        'max_over_subscription_ratio': '20.0', 'pool_name': 'volumes',
        'provisioned_capacity_gb': provisioned,
        'allocated_capacity_gb': provisioned,
        'volume_backend_name': stanza,
        'location_info': f'ceph:/etc/ceph/{stanza}.conf:fsid-{stanza}:'
                         'cinder:volumes',
        'timestamp': '2026-11-22T21:50:31.123456',
    }
    if tags:
        answer.update({
            'feature_tags': tags.split(','), 'feature_weight': weight,
            'feature_fsid': f'fsid-{stanza}', 'feature_cluster': stanza,
            'feature_pool': 'volumes', 'feature_backend': stanza})
    answer.update(caps)
    return {'name': name, 'capabilities': answer}


def service(stanza, host='node1', binary='cinder-volume', **values):
    """Return one item of os-services at microversion 3.49."""
    return {'binary': binary,
            'host': f'{host}@{stanza}' if stanza else host,
            'zone': 'nova', 'status': 'enabled', 'state': 'up',
            'updated_at': '2026-11-22T21:50:33.000000',
            'disabled_reason': None, 'cluster': None,
            'replication_status': 'disabled', 'active_backend_id': None,
            'frozen': False, 'backend_state': 'up'} | values


def scheduler(host='node1'):
    return service('', host, 'cinder-scheduler')


def volume_type(name, require=None, managed=False, description=None,
                **specs):
    """Return one volume type, as an administrator sees it."""
    if require:
        specs['feature:require'] = require
    if managed:
        specs['feature:managed_by'] = 'cinder-tagged'
        description = description or f'Storage with the feature "{name}"'
    return {'id': f'id-{name}', 'name': name, 'is_public': True,
            'description': description, 'extra_specs': specs,
            'qos_specs_id': None, 'os-volume-type-access:is_public': True}


class CommandTestCase(base.BaseTestCase):
    """Runs commands against answers that tests give."""

    def setUp(self):
        super().setUp()
        self.wire = self.useFixture(requests_fixture.Fixture())
        self.wire.get(URL + '/', json=_VERSION)
        self.wire.get(URL, json=_VERSION)
        self.stderr = io.StringIO()
        self.stdout = io.StringIO()
        client = connection.Connection(
            session=session.Session(auth=token_endpoint.Token(URL, 'token')),
            block_storage_endpoint_override=URL,
            block_storage_api_version='3').block_storage
        self.app = types.SimpleNamespace(
            client_manager=types.SimpleNamespace(volume=client),
            stdout=self.stdout, stderr=self.stderr)

    def answer(self, pools=(), services=(), volume_types=()):
        self.wire.get(f'{URL}/scheduler-stats/get_pools',
                      json={'pools': list(pools)})
        self.wire.get(f'{URL}/os-services',
                      json={'services': list(services)})
        self.wire.get(f'{URL}/types',
                      json={'volume_types': list(volume_types)})
        for found in volume_types:
            self.wire.get(f'{URL}/types/{found["name"]}', status_code=404,
                          json={'itemNotFound': {'message': 'none'}})
        self.wire.get(f'{URL}/types/default', status_code=404,
                      json={'itemNotFound': {'message': 'none'}})

    def forbid(self):
        """Answer as to a user without the admin role."""
        for path in ('scheduler-stats/get_pools', 'os-services'):
            self.wire.get(f'{URL}/{path}', status_code=403, json={
                'forbidden': {'code': 403, 'message': "Policy doesn't allow "
                              'it to be performed.'}})

    def answer_volume(self, **values):
        found = {'id': '6f9a2d1c', 'name': 'db-1', 'size': 10,
                 'status': 'available', 'volume_type': None, 'metadata': {},
                 'os-vol-host-attr:host': None} | values
        self.wire.get(f'{URL}/volumes/{found["id"]}',
                      json={'volume': found})
        return found['id']

    def call(self, command, *words):
        """Run a command.

        :returns: exit status, standard output
        """
        self.stdout.truncate(0)
        self.stdout.seek(0)
        found = command(self.app, None)
        parsed = found.get_parser('openstack').parse_args(words)
        status = found.run(parsed)
        return status, self.stdout.getvalue()
