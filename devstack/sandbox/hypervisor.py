# SPDX-License-Identifier: Apache-2.0
"""A compute node that boots guests: nova-compute, libvirt, QEMU.

QEMU emulates (TCG), so this works where KVM does not. libvirt's paths are
fixed when it is built: the daemon gets a mount namespace in which they lie in
the sandbox, and a PID namespace, because it drops the environment by which
the sandbox finds its processes: QEMU ends with the namespace. Its first
process is a shell, which takes the orphans that libvirtd waits to see gone.
"""

from collections.abc import Mapping
from collections.abc import Sequence
import os
from pathlib import Path
import re
import shutil

from devstack.sandbox.ceph import CephCluster
from devstack.sandbox.keystone import Keystone
from devstack.sandbox.layout import Layout
from devstack.sandbox.nova import NovaConf
from devstack.sandbox.nova import wait_for_compute
from devstack.sandbox.part import Part
from devstack.sandbox.process import run
from devstack.sandbox.process import SandboxError
from devstack.sandbox.process import Service

HOST = 'hypervisor'
_PRIVATE = ('/etc/libvirt', '/var/lib/libvirt', '/var/log/libvirt',
            '/var/cache/libvirt', '/run/libvirt')
# libvirt's qemu driver looks the user up before it reads that another one
# is to be used.
_USER = 'libvirt-qemu:x:64055:64055::/nonexistent:/usr/sbin/nologin\n'
_GROUPS = 'libvirt-qemu:x:64055:\nkvm:x:64056:\n'
# $1: the sandbox's directory for it
_ENTER = """
set -e
mount --make-rprivate /
for name in {names}; do
    mkdir -p "$name"
    mount --bind "$1/private$name" "$name"
done
mount --bind "$1/passwd" /etc/passwd
mount --bind "$1/group" /etc/group
libvirtd -f "$1/libvirtd.conf" -p "$1/libvirtd.pid" &
wait
"""
_LIBVIRTD = """\
unix_sock_dir = "{directory}/socket"
auth_unix_rw = "none"
auth_unix_ro = "none"
log_outputs = "3:stderr"
"""
# The guests' files lie in the sandbox, which is root's alone.
_QEMU = """\
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
stdio_handler = "file"
cgroup_controllers = []
namespaces = []
"""
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
        self.libvirtd = Service(
            'libvirtd', layout.directory('log'),
            ['unshare', '--mount', '--pid', '--fork', '--kill-child',
             '--mount-proc', 'sh', '-c',
             _ENTER.format(names=' '.join(_PRIVATE)), 'sh', self.directory],
            layout.guard, {'PATH': f'/usr/sbin:/sbin:{os.environ["PATH"]}'})
        self.compute = Service(
            f'nova-compute-{HOST}', layout.directory('log'),
            [layout.program('nova-compute'), '--config-file', conf.path,
             '--config-file', self.own_conf],
            layout.guard, layout.environment())

    @property
    def services(self) -> Sequence[Service]:
        return (self.compute, self.libvirtd)

    @property
    def uri(self) -> str:
        """The address of libvirt, as virsh and Nova want it."""
        return f'qemu:///system?socket={self.directory}/socket/libvirt-sock'

    def configure(self) -> None:
        if os.geteuid() != 0:
            raise SandboxError(
                'the part "hypervisor" makes namespaces: run as root, or '
                'leave it out')
        for name in _PRIVATE:
            self.layout.directory('libvirt', 'private', name[1:])
        self.layout.directory('libvirt', 'socket')
        self.layout.write('libvirt/libvirtd.conf', _LIBVIRTD.format(
            directory=self.directory))
        self.layout.write('libvirt/private/etc/libvirt/qemu.conf', _QEMU)
        for name, lines in (('passwd', _USER), ('group', _GROUPS)):
            known = Path('/etc', name).read_text()
            self.layout.write(f'libvirt/{name}', known + ''.join(
                f'{line}\n' for line in lines.splitlines()
                if f'\n{line.partition(":")[0]}:' not in known))
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
        self.libvirtd.start()
        self.libvirtd.wait_ready(self._serves)
        for cluster in self.clusters.values():
            self._keep_secret(cluster)
        self.compute.start()
        wait_for_compute(self.keystone, self.compute, HOST)

    def _serves(self) -> bool:
        if not (self.directory / 'socket' / 'libvirt-sock').exists():
            return False
        run(['virsh', '-c', self.uri, 'version'], timeout=120)
        return True

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
        self.libvirtd.kill()
        compute = self.keystone.connect('admin').compute
        for service in compute.services(host=HOST, binary='nova-compute'):
            compute.delete_service(service)
        shutil.rmtree(self.directory, ignore_errors=True)
