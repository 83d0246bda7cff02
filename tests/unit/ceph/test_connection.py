# SPDX-License-Identifier: Apache-2.0

import pathlib

import ddt
import fixtures
from oslotest import base

from cinder_tagged.ceph import connection
from cinder_tagged.ceph import errors

FSID = '2d1fcb4e-9b0e-4b3c-8f0e-7e8a5e2d0001'


@ddt.ddt
class ConnectionTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.directory = pathlib.Path(
            self.useFixture(fixtures.TempDir()).path)

    def identity(self, text, user='cinder'):
        conf = self.directory / 'ceph.conf'
        conf.write_text(text)
        return connection.Identity(str(conf), 'ceph', user,
                                   connection.Timeouts(1, 1, 1))

    @ddt.data((0, 1, 1), (1, 0, 1), (1, 1, -1))
    def test_no_limit_is_refused(self, seconds):
        self.assertRaises(ValueError, connection.Timeouts, *seconds)

    def test_limits_are_set(self):
        identity = connection.Identity(
            self.identity(f'[global]\nfsid={FSID}\n').conf, 'ceph', 'cinder',
            connection.Timeouts(2, 3, 4))
        client = connection.configure(identity)
        self.addCleanup(client.shutdown)
        self.assertEqual(
            ['2', '3', '4'],
            [client.conf_get(name) for name in (
                'client_mount_timeout', 'rados_mon_op_timeout',
                'rados_osd_op_timeout')])

    def test_configured_fsid(self):
        self.assertEqual(FSID, connection.configured_fsid(
            self.identity(f'[global]\nfsid = {FSID}\n')))

    def test_no_configured_fsid(self):
        self.assertEqual('', connection.configured_fsid(
            self.identity('[global]\nmon_host = 127.0.0.1:1\n')))

    def test_file_missing(self):
        identity = connection.Identity(
            str(self.directory / 'nowhere.conf'), 'ceph', None,
            connection.Timeouts(1, 1, 1))
        error = self.assertRaises(errors.ClusterRefused,
                                  connection.open_client, identity)
        self.assertEqual('conf', error.subject)
        self.assertIn('nowhere.conf', str(error))

    def test_keyring_missing(self):
        identity = self.identity(
            f'[global]\nfsid = {FSID}\nmon_host = 127.0.0.1:1\n'
            f'keyring = {self.directory}/none\nlog_to_stderr = false\n')
        error = self.assertRaises(errors.ClusterRefused,
                                  connection.open_client, identity)
        self.assertEqual('keyring', error.subject)
        self.assertIn(f'{self.directory}/none', str(error))
        self.assertIn('client.cinder', str(error))

    def test_nobody_answers(self):
        keyring = self.directory / 'keyring'
        keyring.write_text('[client.cinder]\nkey = '
                           'AQBpvF1fAAAAABAAMDAwMDAwMDAwMDAwMDAwMA==\n')
        identity = self.identity(
            f'[global]\nfsid = {FSID}\nmon_host = 127.0.0.1:1\n'
            f'keyring = {keyring}\nlog_to_stderr = false\n')
        self.assertRaises(errors.ClusterUnreachable,
                          connection.open_client, identity)
