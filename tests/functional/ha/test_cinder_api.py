# SPDX-License-Identifier: Apache-2.0
"""Cinder's API on three nodes behind one address."""

import json
from pathlib import Path
import signal
import subprocess
import sys
import tempfile

from devstack.sandbox.wsgi import wsgi_command
from tests.functional.ha import lab as labs
from tests.functional.ha import test_takeover

PROJECT = '1' * 32
CONF = '''[DEFAULT]
auth_strategy = noauth
transport_url = fake://
state_path = {directory}
api_paste_config = {prefix}/etc/cinder/api-paste.ini
[database]
connection = sqlite:///{directory}/cinder.sqlite
[oslo_concurrency]
lock_path = {directory}/lock
'''
REQUEST = '''
import sys, urllib.request
url, method, body = sys.argv[1:4]
request = urllib.request.Request(url, body.encode() or None, {
    'X-Auth-Token': 'admin:' + sys.argv[4],
    'Content-Type': 'application/json'}, method=method)
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
print(opener.open(request, timeout=20).read().decode())
'''


class CinderApiTest(test_takeover.LabTestCase):

    extra = ('[ha_probes]\nservices = http://127.0.0.1:8776/\n'
             'period = 0.5\ndeadline = 5\nfall = 1\n')
    count = 3

    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory(prefix='ha-cinder-')
        directory = Path(cls.directory.name)
        cls.conf = directory / 'cinder.conf'
        cls.conf.write_text(CONF.format(
            directory=directory, prefix=sys.prefix))
        try:
            subprocess.run(
                [Path(sys.prefix, 'bin', 'cinder-manage'), '--config-file',
                 cls.conf, 'db', 'sync'], check=True, timeout=300,
                capture_output=True, env=labs.environment())
            super().setUpClass()
        except BaseException:
            cls.directory.cleanup()
            raise

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        cls.directory.cleanup()

    @classmethod
    def prepare(cls, node):
        """Start the API of a node before its agent."""
        node.api = node.space.spawn(
            *wsgi_command(':8776', 'cinder.wsgi.api:application',
                          arguments=f'--config-file {cls.conf}', threads=2),
            log='api.log',
            env=labs.environment(), cwd=cls.directory.name)

    def ask(self, method='GET', body=''):
        out = self.lab.clients[0].run(
            sys.executable, '-c', REQUEST,
            f'http://{labs.ADDRESS}:8776/v3/{PROJECT}/types', method, body,
            PROJECT)
        return json.loads(out)

    def names(self):
        """Types that the API behind the address tells, None if it fails."""
        try:
            return {t['name'] for t in self.ask()['volume_types']}
        except RuntimeError:
            return None

    def test_api_answers_through_the_address_whoever_dies(self):
        self.ask('POST', json.dumps({'volume_type': {'name': 'ssd'}}))
        with self.watched():
            self.holder.api.send_signal(signal.SIGSTOP)
            second = self.moved()
            labs.wait_for(lambda: 'ssd' in (self.names() or ()),
                          'the second node answers')
        self.holder.api.send_signal(signal.SIGCONT)
        self.assertIs(second, self.lab.settled())
        self.holder = second
        with self.watched():
            second.die()
            self.moved()
            labs.wait_for(lambda: 'ssd' in (self.names() or ()),
                          'the third node answers')
