# SPDX-License-Identifier: Apache-2.0
"""What is done to guests on cut-off volumes, by a real libvirt and QEMU."""

from pathlib import Path
import shutil
import tempfile

from oslotest import base

from cinder_tagged.ha.fence.adapters import holders
from devstack.sandbox.guard import Guard
from devstack.sandbox.libvirt import Libvirt
from devstack.sandbox.process import run

DOMAIN = """
<domain type='qemu'>
  <name>{name}</name>
  <memory unit='MiB'>32</memory>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw'/>
      <source file='{disk}'/>
      <target dev='vda' bus='virtio'/>
    </disk>
  </devices>
</domain>
"""


class TestGuests(base.BaseTestCase):
    def setUp(self):
        super().setUp()
        directory = Path(tempfile.mkdtemp())
        guard = Guard(remove=(directory,))
        self.addCleanup(guard.close)
        guard.watch()
        self.libvirt = Libvirt(directory / 'libvirt', directory, guard)
        self.addCleanup(shutil.rmtree, directory, ignore_errors=True)
        self.addCleanup(self.libvirt.service.kill)
        self.directory = directory
        self.disk = str(directory / 'disk')
        with open(self.disk, 'wb') as file:
            file.truncate(1 << 20)
        self.libvirt.configure()
        self.libvirt.start()
        self.start('on-san')

    def virsh(self, *words):
        return run(['virsh', '--connect', self.libvirt.uri, *words],
                   timeout=60).strip()

    def start(self, name):
        path = self.directory / 'domain.xml'
        path.write_text(DOMAIN.format(name=name, disk=self.disk))
        self.virsh('create', str(path))
        self.assertEqual('running', self.virsh('domstate', name))

    def settle(self, policy):
        found = holders.find([self.disk])
        self.assertEqual(['on-san'], [h.guest for h in found])
        return holders.settle(found, policy, self.libvirt.uri, 60)

    def test_paused_and_resumed(self):
        self.assertEqual(('on-san',), self.settle('pause'))
        self.assertEqual('paused', self.virsh('domstate', 'on-san'))
        self.assertEqual((), holders.resume(['on-san'], self.libvirt.uri, 60))
        self.assertEqual('running', self.virsh('domstate', 'on-san'))

    def test_ended(self):
        self.assertEqual((), self.settle('destroy'))
        self.assertEqual('', self.virsh('list', '--name'))
        self.assertEqual(('on-san',), holders.resume(
            ['on-san'], self.libvirt.uri, 60))

    def test_left_alone(self):
        self.assertEqual((), self.settle('keep'))
        self.assertEqual('running', self.virsh('domstate', 'on-san'))
