# SPDX-License-Identifier: Apache-2.0
"""Allotting the volume, on a Cinder in memory with the real request schema.

tests/functional/platform/test_cinder.py does it on a real one.
"""

import types
from unittest import mock
import uuid

from cinder.api.schemas import attachments as schemas
import jsonschema
from openstack import exceptions as sdk_exceptions
from openstack.block_storage.v3 import attachment as sdk
from oslotest import base

from cinder_tagged.ha.platform import cinder
from cinder_tagged.ha.platform import cli
from cinder_tagged.ha.platform import exceptions


class Storage:
    """Volumes and attachments, as the proxy of openstacksdk shows them."""

    def __init__(self, ends_as='available', driver='rbd'):
        self.made, self.attached = [], []
        self.ends_as, self.driver = ends_as, driver

    def volumes(self, details):
        return list(self.made)

    def create_volume(self, **attrs):
        volume = types.SimpleNamespace(
            id=str(uuid.uuid4()), status='creating', **attrs)
        self.made.append(volume)
        return volume

    def get_volume(self, ident):
        volume = next(v for v in self.made if v.id == ident)
        if volume.status == 'creating':
            volume.status = self.ends_as
        return volume

    def attachments(self, **query):
        return [a for a in self.attached
                if a.volume_id == query['volume_id']]

    def create_attachment(self, volume, **attrs):
        body = sdk.Attachment.new(
            volume_id=volume.id, **attrs)._prepare_request_body(
                resource_request_key=None, prepend_key=True)
        # As Cinder does.
        jsonschema.Draft4Validator(schemas.create_v354).validate(body)
        volume.status = 'attaching'
        info = ({'name': f'volumes/volume-{volume.id}'}
                if self.driver == 'rbd' else {'target_iqn': 'x'})
        self.attached.append(types.SimpleNamespace(
            id=str(uuid.uuid4()), volume_id=volume.id, status='attaching',
            connection_info=info))
        return self.attached[-1]

    def get_attachment(self, ident):
        return next(a for a in self.attached if a.id == ident)

    def complete_attachment(self, ident):
        attachment = self.get_attachment(ident)
        attachment.status = 'attached'
        self.get_volume(attachment.volume_id).status = 'in-use'


class AllotTest(base.BaseTestCase):

    def allot(self, storage):
        return cinder.allot(types.SimpleNamespace(block_storage=storage),
                            'app', 1, 'ssd', 20)

    def test_once_made_it_is_found_again(self):
        storage = Storage()
        found = self.allot(storage)
        [volume] = storage.made
        self.assertEqual(('volumes', f'volume-{volume.id}'), found)
        self.assertEqual(('in-use', 'ssd', {'cinder_tagged_platform': 'app'}),
                         (volume.status, volume.volume_type,
                          volume.metadata))
        self.assertEqual(found, self.allot(storage))
        self.assertEqual((1, 1), (len(storage.made), len(storage.attached)))

    def test_broken_off_after_the_attachment_it_is_completed(self):
        storage = Storage()
        with mock.patch.object(storage, 'complete_attachment',
                               side_effect=RuntimeError):
            self.assertRaises(RuntimeError, self.allot, storage)
        self.allot(storage)
        self.assertEqual('in-use', storage.made[0].status)

    def test_fails_volume_in_error(self):
        error = self.assertRaises(exceptions.PlatformError, self.allot,
                                  Storage(ends_as='error'))
        self.assertIn('is error', str(error))

    def test_fails_not_on_rbd(self):
        error = self.assertRaises(exceptions.PlatformError, self.allot,
                                  Storage(driver='iscsi'))
        self.assertIn('is not on RBD', str(error))

    def test_fails_two_marked(self):
        storage = Storage()
        for _ in range(2):
            storage.create_volume(metadata={cinder.MARK: 'app'})
        error = self.assertRaises(exceptions.PlatformError, self.allot,
                                  storage)
        self.assertIn('2 volumes have the metadata', str(error))


class CommandTest(base.BaseTestCase):
    """The command around it."""

    def setUp(self):
        super().setUp()
        section = types.SimpleNamespace(
            pool='volumes', ceph_conf='/etc/ceph/a.conf')
        self.command = cli.Command({'ha_platform_app': section}, 'app')
        self.arguments = types.SimpleNamespace(
            os_cloud='admin', size=1, type='ssd')
        self.pool = mock.create_autospec(cli.pools.Pool, instance=True)
        self.command._pool = lambda: self.pool
        connect = mock.patch('openstack.connect')
        self.connect = connect.start()
        self.addCleanup(connect.stop)
        self.connect.return_value.block_storage = Storage()

    def volume(self):
        return self.command.volume(self.arguments)

    def test_name_is_kept(self):
        self.pool.has.return_value = True
        self.assertEqual(0, self.volume())
        [volume] = self.connect.return_value.block_storage.made
        self.pool.keep_volume.assert_called_once_with(f'volume-{volume.id}')

    def test_fails_type_of_another_cluster(self):
        self.pool.has.return_value = False
        error = self.assertRaises(exceptions.PlatformError, self.volume)
        self.assertIn('is not in the cluster of /etc/ceph/a.conf: type ssd',
                      str(error))
        self.pool.keep_volume.assert_not_called()

    def test_fails_cloud_that_does_not_answer(self):
        self.connect.side_effect = sdk_exceptions.SDKException('no route')
        error = self.assertRaises(exceptions.PlatformError, self.volume)
        self.assertIn('no route', str(error))
