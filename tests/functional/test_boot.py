# SPDX-License-Identifier: Apache-2.0
"""Row P6 to its end: a guest boots from the system disk.

nova-compute, libvirt and QEMU are real; QEMU emulates. BIOS, boot loader,
kernel and initrd all come from the disk on RBD.
"""

import rbd

from devstack.sandbox import hypervisor
from devstack.sandbox.guest import ANSWER_OFFSET
from devstack.sandbox.guest import bootable
from devstack.sandbox.guest import GREETING
from tests.functional import test_servers

NAME = 'image-of-test'


class BootTest(test_servers.ServerCase):

    def setUp(self):
        super().setUp()
        self.node = self.sandbox.hypervisor()
        self.addCleanup(self.node.stop)
        self.node.configure()
        self.node.start()

    def console(self, server):
        """Return what a guest has printed."""
        return self.cloud.compute.get_server_console_output(
            server.id)['output'] or ''

    def read(self, cluster, name, snapshot=None):
        """Return the parent of an RBD image, and the guest's answer."""
        with self.clusters[cluster].ioctx('volumes') as ioctx, rbd.Image(
                ioctx, name, snapshot=snapshot, read_only=True) as image:
            try:
                parent = image.parent_info()[1:]
            except rbd.ImageNotFound:
                parent = None
            return parent, image.read(ANSWER_OFFSET, 512).rstrip(b'\0')

    def test_guest_boots_from_a_clone_in_another_cluster(self):
        image = self.upload(bootable(NAME), feature='hdd')
        self.assertEqual('ceph-hdd', self.place(image)[0])
        server = self.create(imageRef=image, hint='ssd & test',
                             flavor='guest', host=hypervisor.HOST)
        self.wait_until(lambda: GREETING in self.console(server),
                        'the guest says that it runs')
        self.assertRegex(self.console(server), rf'{GREETING}.*{NAME}')
        disk = self.disk_of(server)
        self.assertEqual(['ceph-ssd-b'], self.clusters_with(disk.id))
        answer = f'written by the guest of {NAME}'.encode()
        parent, found = self.read('ceph-ssd-b', f'volume-{disk.id}')
        self.assertEqual(answer, found)
        # It wrote to its own disk; the copy it is a clone of is untouched.
        self.assertEqual((None, b''), self.read('ceph-ssd-b', *parent))
