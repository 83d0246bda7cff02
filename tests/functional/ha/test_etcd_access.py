# SPDX-License-Identifier: Apache-2.0
"""TLS and authentication, with a real etcd and certificates of our own."""

import os
from pathlib import Path
import queue
import shutil
import subprocess
import tempfile

import fixtures
from oslotest import base
import requests

from cinder_tagged.ha.adapters import etcd
from cinder_tagged.ha.core import record as rec
from devstack.sandbox import process
from tests.functional.ha import lab as labs
from tests.functional.ha import spaces

PREFIX = '/cinder-tagged-ha'
WAIT = 20.0


class Authority:
    """A CA and what it signs, below one directory."""

    def __init__(self, directory, name):
        self.cert = directory / f'{name}.pem'
        self._key = directory / f'{name}.key'
        self._openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt',
                      'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2',
                      '-subj', f'/CN={name}', '-keyout', self._key,
                      '-out', self.cert)

    @staticmethod
    def _openssl(*arguments):
        subprocess.run(['openssl', *map(str, arguments)], check=True,
                       capture_output=True, timeout=60)

    def sign(self, name, *extensions, subject=''):
        """Return (certificate, key) for ``name``."""
        cert, key = (self.cert.with_name(f'{name}.{end}')
                     for end in ('crt', 'key'))
        request = cert.with_suffix('.csr')
        text = cert.with_suffix('.ext')
        text.write_text('\n'.join(extensions) + '\n')
        self._openssl('req', '-newkey', 'ec', '-pkeyopt',
                      'ec_paramgen_curve:prime256v1', '-nodes', '-subj',
                      subject or f'/CN={name}', '-keyout', key, '-out',
                      request)
        self._openssl('x509', '-req', '-in', request, '-CA', self.cert,
                      '-CAkey', self._key, '-CAcreateserial', '-days', '2',
                      '-extfile', text, '-out', cert)
        return cert, key


class EtcdAccessTest(base.BaseTestCase):

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.directory = Path(tempfile.mkdtemp())
        cls.addClassCleanup(shutil.rmtree, cls.directory, True)
        cls.port, cls.peer_port = process.free_port(), process.free_port()
        cls.url = f'https://127.0.0.1:{cls.port}'
        cls.ca = Authority(cls.directory, 'ca')
        cls.server = cls.ca.sign(
            'server', 'subjectAltName=IP:127.0.0.1',
            'extendedKeyUsage=serverAuth,clientAuth')
        # etcd's gateway takes no CommonName beside user and password.
        cls.client = cls.ca.sign(
            'client', 'extendedKeyUsage=clientAuth', subject='/O=agents')
        cls.process = None
        cls.addClassCleanup(cls._stop)
        cls._start()
        cls._users()

    def setUp(self):
        super().setUp()
        # Each test has a role record of its own.
        self.role = self.id().rpartition('.')[2]

    @classmethod
    def _start(cls):
        peer = f'http://127.0.0.1:{cls.peer_port}'
        cert, key = cls.server
        with open(cls.directory / 'log', 'ab') as log:
            cls.process = subprocess.Popen(
                ['etcd', '--name', 'one', '--data-dir',
                 str(cls.directory / 'data'), '--listen-client-urls',
                 cls.url, '--advertise-client-urls', cls.url,
                 '--listen-peer-urls', peer, '--initial-cluster',
                 f'one={peer}', '--initial-advertise-peer-urls', peer,
                 '--cert-file', str(cert), '--key-file', str(key),
                 '--client-cert-auth', '--trusted-ca-file',
                 str(cls.ca.cert), '--log-level', 'error'],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                env=labs.environment(), start_new_session=True,
                preexec_fn=spaces.die_with_parent)
        labs.wait_for(cls._healthy, 'etcd answers')

    @classmethod
    def _healthy(cls):
        try:
            return requests.get(
                cls.url + '/health', verify=str(cls.ca.cert), timeout=5,
                cert=tuple(map(str, cls.client)), proxies={'https': ''},
            ).json()['health'] == 'true'
        except (requests.RequestException, ValueError):
            return False

    @classmethod
    def _stop(cls):
        if cls.process is not None:
            cls.process.kill()
            cls.process.wait(30)

    @classmethod
    def _ctl(cls, *arguments):
        cert, key = cls.client
        return subprocess.run(
            ['etcdctl', '--endpoints', cls.url, '--cacert',
             str(cls.ca.cert), '--cert', str(cert), '--key', str(key),
             *arguments], check=True, capture_output=True, text=True,
            timeout=60, env={**os.environ, 'ETCDCTL_API': '3'}).stdout

    @classmethod
    def _users(cls):
        """The steps of the installation guide."""
        cls._ctl('user', 'add', 'root:of-all-evil')
        cls._ctl('user', 'grant-role', 'root', 'root')
        cls._ctl('role', 'add', 'ha')
        cls._ctl('role', 'grant-permission', 'ha', '--prefix=true',
                  'readwrite', PREFIX + '/')
        cls._ctl('user', 'add', 'agent:secret')
        cls._ctl('user', 'grant-role', 'agent', 'ha')
        cls._ctl('auth', 'enable')

    def _etcd(self, wait=WAIT, **changes):
        cert, key = self.client
        fields = {'prefix': PREFIX, 'ca': str(self.ca.cert),
                  'cert': str(cert), 'key': str(key), 'user': 'agent',
                  'password': 'secret', **changes}
        client = etcd.Etcd(etcd.Access((self.url,), **fields), wait)
        self.addCleanup(client.close)
        return client

    def _swap(self, client, expect, new):
        answers = queue.SimpleQueue()
        client.swap(self.role, expect, new, answers.put)
        return answers.get(timeout=60)

    @staticmethod
    def _refused(client):
        try:
            client.call({'success': [{'request_range': {
                'key': etcd.b64(PREFIX + '/roles/control/record')}}]}, 2.0)
        except etcd.EtcdError:
            return True
        return False

    def test_swap_and_read_with_certificate_and_password(self):
        client = self._etcd()
        record = rec.Record(1, 'a', 'a.1', hold=0.6, seq=1)
        won, written, _ = self._swap(client, 0, record)
        self.assertTrue(won)
        won, present, _ = self._swap(client, 0, record)
        self.assertFalse(won)
        self.assertEqual(written, present)

    def test_password_that_is_wrong_is_refused(self):
        self.assertTrue(self._refused(self._etcd(password='guess')))

    def test_certificate_with_a_common_name_is_refused_and_told(self):
        cert, key = self.ca.sign('named', 'extendedKeyUsage=clientAuth')
        log = self.useFixture(fixtures.FakeLogger())
        self.assertTrue(self._refused(self._etcd(
            cert=str(cert), key=str(key))))
        self.assertIn('CommonName', log.output)
        self.assertNotIn('secret', log.output)

    def test_client_without_certificate_is_refused(self):
        self.assertTrue(self._refused(self._etcd(cert=None, key=None)))

    def test_server_of_another_authority_is_refused(self):
        other = Authority(self.directory, 'other')
        self.assertTrue(self._refused(self._etcd(ca=str(other.cert))))

    def test_keys_outside_the_prefix_are_out_of_reach(self):
        client = self._etcd(3.0, prefix='/somebody-else')
        self.assertIsNone(self._swap(client, 0, rec.Record(1, 'a', 'a.1')))

    def test_login_is_renewed_after_etcd_forgot_it(self):
        client = self._etcd()
        record = rec.Record(1, 'a', 'a.1', hold=0.6, seq=1)
        _, written, _ = self._swap(client, 0, record)
        self._stop()
        self._start()
        # Tokens live in the memory of the member that gave them.
        labs.wait_for(lambda: self._swap(client, 0, record) == (
            False, written, 0), 'the agent is let in again')
