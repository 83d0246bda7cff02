# SPDX-License-Identifier: Apache-2.0
"""What the DevStack plugin adds to DevStack: its clusters as services."""

import os
from pathlib import Path
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile

from oslotest import base
import rbd

from devstack.sandbox.ceph import CephCluster
from devstack.sandbox.process import wait_until

DEVSTACK = Path(__file__).parents[2] / 'devstack'


class ClusterServiceTest(base.BaseTestCase):

    def setUp(self):
        # The sockets' paths must be short, and outlive no test.
        self.directory = Path(tempfile.gettempdir(),
                              f'ds-{secrets.token_hex(4)}')
        super().setUp()
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)

    def start(self):
        service = subprocess.Popen(
            [sys.executable, '-m', 'devstack.ceph_service', self.directory,
             'ceph-ssd', '--size', '8'],
            cwd=DEVSTACK.parent, stdout=subprocess.PIPE, text=True,
            env=os.environ)
        self.addCleanup(service.stdout.close)
        self.addCleanup(service.wait, 60)
        self.addCleanup(service.kill)
        self.assertEqual('ceph-ssd serves\n', service.stdout.readline())
        return service

    def test_data_outlive_the_service(self):
        # As the plugin does: the identity is known before the cluster.
        self.directory.mkdir()
        fsid = '6d1fcb4e-9b0e-4b3c-8f0e-7e8a5e2d0001'
        (self.directory / 'fsid').write_text(f'{fsid}\n')
        service = self.start()
        cluster = CephCluster(self.directory, 'ceph-ssd')
        with cluster.ioctx('volumes', 'cinder') as ioctx:
            rbd.RBD().create(ioctx, 'kept', 2 ** 20, old_format=False)
        service.send_signal(signal.SIGTERM)
        self.assertEqual(0, service.wait(60))
        wait_until(lambda: not self.daemons(), 60, 'all daemons gone')
        service = self.start()
        self.assertEqual(['kept'], cluster.images())
        with cluster.connect() as client:
            self.assertEqual(fsid, client.get_fsid())
        service.send_signal(signal.SIGINT)
        self.assertEqual(0, service.wait(60))

    def daemons(self):
        """Return the daemons that have files of the cluster's directory."""
        found = []
        for entry in Path('/proc').glob('[0-9]*/cmdline'):
            try:
                words = entry.read_bytes().decode(errors='replace')
            except OSError:
                continue
            if words.startswith('ceph-') and str(self.directory) in words:
                found.append(words)
        return found


class ShellTest(base.BaseTestCase):

    def test_syntax(self):
        for name in ('plugin.sh', 'settings', 'override-defaults',
                     'lib/tagged', 'rehearse'):
            subprocess.run(['bash', '-n', DEVSTACK / name], check=True,
                           timeout=30)

    def test_overrides(self):
        said = subprocess.run(
            ['bash', '-c', 'TAGGED_CLUSTERS="a b-c"; source "$0"; '
             'source "$1"; TAGGED_TAGS_b_c="medium:ssd, gold"; '
             'echo "$CINDER_ENABLED_BACKENDS"; tagged_of TAGS b-c',
             DEVSTACK / 'override-defaults', DEVSTACK / 'lib' / 'tagged'],
            check=True, timeout=30, capture_output=True, text=True).stdout
        self.assertEqual(['tagged:a,tagged:b-c', 'medium:ssd, gold'],
                         said.splitlines())
