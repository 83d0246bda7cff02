# SPDX-License-Identifier: Apache-2.0
"""libvirt with QEMU, beside whatever libvirt the machine has.

QEMU emulates (TCG), so this works where KVM does not. libvirt's paths are
fixed when it is built: the daemon gets a mount namespace in which they lie in
a directory of its own, and a PID namespace, because it drops the environment
by which the sandbox finds its processes: QEMU ends with the namespace. Its
first process is a shell, which takes the orphans that libvirtd waits to see
gone.
"""

import os
from pathlib import Path

from devstack.sandbox.guard import Guard
from devstack.sandbox.process import run
from devstack.sandbox.process import Service

_PRIVATE = ('/etc/libvirt', '/var/lib/libvirt', '/var/log/libvirt',
            '/var/cache/libvirt', '/run/libvirt')
# libvirt's qemu driver looks the user up before it reads that another one
# is to be used.
_USER = 'libvirt-qemu:x:64055:64055::/nonexistent:/usr/sbin/nologin\n'
_GROUPS = 'libvirt-qemu:x:64055:\nkvm:x:64056:\n'
# $1: the directory for it
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
# The guests' files lie where only root may go.
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


class Libvirt:
    """``directory``: its own; ``logs``: where it says what it does."""

    def __init__(self, directory: Path, logs: Path, guard: Guard) -> None:
        self.directory = directory
        self.service = Service(
            'libvirtd', logs,
            ['unshare', '--mount', '--pid', '--fork', '--kill-child',
             '--mount-proc', 'sh', '-c',
             _ENTER.format(names=' '.join(_PRIVATE)), 'sh', directory],
            guard, {'PATH': f'/usr/sbin:/sbin:{os.environ["PATH"]}'})

    @property
    def uri(self) -> str:
        """The address of libvirt, as virsh and Nova want it."""
        return f'qemu:///system?socket={self.directory}/socket/libvirt-sock'

    def configure(self) -> None:
        for name in (*_PRIVATE, '/socket'):
            inside = 'private' + name if name in _PRIVATE else name[1:]
            (self.directory / inside).mkdir(parents=True, exist_ok=True)
        (self.directory / 'libvirtd.conf').write_text(
            _LIBVIRTD.format(directory=self.directory))
        (self.directory / 'private/etc/libvirt/qemu.conf').write_text(_QEMU)
        for name, lines in (('passwd', _USER), ('group', _GROUPS)):
            known = Path('/etc', name).read_text()
            (self.directory / name).write_text(known + ''.join(
                f'{line}\n' for line in lines.splitlines()
                if f'\n{line.partition(":")[0]}:' not in known))

    def start(self) -> None:
        self.service.start()
        self.service.wait_ready(self._serves)

    def _serves(self) -> bool:
        if not (self.directory / 'socket' / 'libvirt-sock').exists():
            return False
        run(['virsh', '-c', self.uri, 'version'], timeout=120)
        return True
