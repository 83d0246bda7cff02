# SPDX-License-Identifier: Apache-2.0
"""A compute node that boots guests: nova-compute on libvirt."""

from collections.abc import Mapping
from collections.abc import Sequence
import os
import re
import shutil

from devstack.sandbox.ceph import CephCluster
from devstack.sandbox.keystone import Keystone
from devstack.sandbox.layout import Layout
from devstack.sandbox.libvirt import Libvirt
from devstack.sandbox.nova import NovaConf
from devstack.sandbox.nova import wait_for_compute
from devstack.sandbox.part import Part
from devstack.sandbox.process import run
from devstack.sandbox.process import SandboxError
from devstack.sandbox.process import Service

HOST = 'hypervisor'
_SECRET = """\
<secret ephemeral='no' private='yes'>
  <uuid>{fsid}</uuid>
  <usage type='ceph'><name>client.cinder of {name}</name></usage>
</secret>
"""


class Hypervisor(Part):
    """libvirtd and the nova-compute that uses it."""

    name = 'hypervisor'
    needs = ('keystone', 'message bus', 'placement', 'nova-api',
             'nova daemons')

    def __init__(self, layout: Layout, conf: NovaConf, keystone: Keystone,
                 clusters: Mapping[str, CephCluster]) -> None:
        super().__init__(layout)
        self.conf = conf
        self.keystone = keystone
        self.clusters = clusters
        self.needs = (*type(self).needs, *clusters)
        self.directory = layout.state / 'libvirt'
        self.own_conf = layout.state / 'nova' / 'hypervisor.conf'
        self.libvirt = Libvirt(self.directory, layout.directory('log'),
                               layout.guard)
        self.compute = Service(
            f'nova-compute-{HOST}', layout.directory('log'),
            [layout.program('nova-compute'), '--config-file', conf.path,
             '--config-file', self.own_conf],
            layout.guard, layout.environment())

    @property
    def services(self) -> Sequence[Service]:
        return (self.compute, self.libvirt.service)

    @property
    def uri(self) -> str:
        """The address of libvirt, as virsh and Nova want it."""
        return self.libvirt.uri

    def configure(self) -> None:
        if os.geteuid() != 0:
            raise SandboxError(
                'the part "hypervisor" makes namespaces: run as root, or '
                'leave it out')
        self.libvirt.configure()
        self.layout.write_conf('nova/hypervisor.conf', {
            'DEFAULT': {
                'host': HOST, 'compute_driver': 'libvirt.LibvirtDriver',
                'state_path': self.layout.directory('nova', HOST),
                'instances_path': self.layout.directory(
                    'nova', HOST, 'instances')},
            'libvirt': {'virt_type': 'qemu', 'connection_uri': self.uri,
                        'cpu_mode': 'none'},
        })

    def start(self) -> None:
        self.libvirt.start()
        for cluster in self.clusters.values():
            self._keep_secret(cluster)
        self.compute.start()
        wait_for_compute(self.keystone, self.compute, HOST)

    def _keep_secret(self, cluster: CephCluster) -> None:
        """Tell libvirt the key with which QEMU opens system disks."""
        keyring = (cluster.directory / 'client.cinder.keyring').read_text()
        found = re.search(r'key = (\S+)', keyring)
        if found is None:
            raise SandboxError(f'{cluster.name}: no key of client.cinder')
        definition = self.layout.write(
            f'libvirt/secret-{cluster.name}.xml',
            _SECRET.format(fsid=cluster.fsid, name=cluster.name))
        key = self.layout.write(f'libvirt/key-{cluster.name}', found[1])
        run(['virsh', '-c', self.uri, 'secret-define', definition])
        # Not on the command line, where everybody could read it.
        run(['virsh', '-c', self.uri, 'secret-set-value', cluster.fsid,
             '--file', key])

    def stop(self) -> None:
        """End the node and all of its guests, and forget it."""
        self.compute.stop()
        self.libvirt.service.kill()
        compute = self.keystone.connect('admin').compute
        for service in compute.services(host=HOST, binary='nova-compute'):
            compute.delete_service(service)
        shutil.rmtree(self.directory, ignore_errors=True)
