# SPDX-License-Identifier: Apache-2.0
"""Make a raw disk that a BIOS boots: boot loader, kernel, initrd.

Debian's cloud kernel is unpacked, never installed; Busybox is all there is
beside it. Nothing is mounted and no loop device used: mtools fills the one
FAT partition, syslinux makes it bootable. The image is kept, since it
depends on the packages alone.
"""

from collections.abc import Iterable
from collections.abc import Iterator
import hashlib
import os
from pathlib import Path
import stat
import struct
import tempfile

from devstack.sandbox.process import run
from devstack.sandbox.process import SandboxError
from devstack.sandbox.settings import cache_directory

#: The line that the guest prints on its serial console begins with this.
GREETING = 'guest: Linux '
#: Byte of the disk at which the guest writes an answer.
ANSWER_OFFSET = 9 * 512

_NAME_OFFSET = 8 * 512
_SIZE = 32 << 20
_PARTITION = 1 << 20
_HERE = Path(__file__).parent
_BUSYBOX = Path('/bin/busybox')
_MBR = Path('/usr/lib/syslinux/mbr/mbr.bin')
# The disk's driver, each module after those that it needs.
_MODULES = ('virtio_ring', 'virtio', 'virtio_pci_legacy_dev',
            'virtio_pci_modern_dev', 'virtio_pci', 'virtio_blk')
_SYSLINUX = """\
DEFAULT guest
PROMPT 0
TIMEOUT 0
SERIAL 0 115200
LABEL guest
 KERNEL vmlinuz
 INITRD initrd
 APPEND console=ttyS0 quiet mitigations=off random.trust_cpu=on
"""


def bootable(name: str) -> bytes:
    """Return a bootable disk that knows its name.

    :param name: what the guest says that it was booted from; ASCII, at
        most 500 characters
    :raises SandboxError: a package is missing or cannot be had
    """
    content = bytearray(_blank().read_bytes())
    label = name.encode('ascii')
    content[_NAME_OFFSET:_NAME_OFFSET + len(label)] = label
    return bytes(content)


def _blank() -> Path:
    digest = hashlib.sha256()
    for path in (Path(__file__), _HERE / 'init', _BUSYBOX):
        digest.update(path.read_bytes())
    image = cache_directory() / f'guest-{digest.hexdigest()[:16]}.raw'
    if not image.exists():
        image.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=image.parent) as scratch:
            os.replace(_build(Path(scratch)), image)
    return image


def _build(scratch: Path) -> Path:
    kernel, modules = _kernel(scratch)
    initrd = scratch / 'initrd'
    initrd.write_bytes(_initrd(modules))
    conf = scratch / 'syslinux.cfg'
    conf.write_text(_SYSLINUX)
    disk = scratch / 'disk.raw'
    disk.write_bytes(_boot_record())
    os.truncate(disk, _SIZE)
    sectors, start = (_SIZE - _PARTITION) // 512, _PARTITION // 512
    run(['mkfs.vfat', '-F', '16', '-h', str(start), '--offset', str(start),
         disk, str(sectors // 2)])
    inside = f'{disk}@@{_PARTITION}'
    for source, target in ((kernel, 'vmlinuz'), (initrd, 'initrd'),
                           (conf, 'syslinux.cfg')):
        run(['mcopy', '-i', inside, source, f'::{target}'])
    run(['syslinux', '--install', '--offset', str(_PARTITION), disk])
    return disk


def _kernel(scratch: Path) -> tuple[Path, Path]:
    """Unpack the newest cloud kernel; return it and its modules."""
    depends = run(['apt-cache', 'depends', '--important',
                   'linux-image-cloud-amd64'])
    names = [line.split()[-1] for line in depends.splitlines()
             if 'Depends:' in line]
    if not names:
        raise SandboxError('linux-image-cloud-amd64 is not known to apt: '
                           'run apt-get update')
    # _apt, as which root downloads, cannot write to private directories.
    run(['sh', '-c', 'cd "$1" && apt-get -q -o APT::Sandbox::User=root '
         'download "$2"', 'sh', scratch, names[0]], timeout=600)
    package, = scratch.glob('*.deb')
    unpacked = scratch / 'kernel'
    run(['dpkg-deb', '-x', package, unpacked])
    package.unlink()
    kernel, = (unpacked / 'boot').glob('vmlinuz-*')
    return kernel, unpacked / 'lib/modules'


def _initrd(modules: Path) -> bytes:
    files = {path.stem: path for path in modules.rglob('virtio*.ko')}
    found = [files[name] for name in _MODULES if name in files]
    order = '\n'.join(path.name for path in found).encode()
    directory, program = stat.S_IFDIR | 0o755, stat.S_IFREG | 0o755
    return _cpio([
        *((name, directory, b'') for name in ('bin', 'dev', 'proc', 'sys')),
        ('bin/busybox', program, _BUSYBOX.read_bytes()),
        ('init', program, (_HERE / 'init').read_bytes()),
        ('modules.order', stat.S_IFREG | 0o644, order),
        *((path.name, stat.S_IFREG | 0o644, path.read_bytes())
          for path in found)])


def _cpio(entries: Iterable[tuple[str, int, bytes]]) -> bytes:
    """Return an archive in the kernel's "newc" format."""
    return b''.join(_members([*entries, ('TRAILER!!!', 0, b'')]))


def _members(entries: Iterable[tuple[str, int, bytes]]) -> Iterator[bytes]:
    for number, (name, mode, data) in enumerate(entries, 1):
        fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0,
                  len(name) + 1, 0)
        header = b'070701' + b''.join(b'%08X' % field for field in fields)
        header += name.encode() + b'\0'
        yield header + b'\0' * (-len(header) % 4)
        yield data + b'\0' * (-len(data) % 4)


def _boot_record() -> bytes:
    """Return a boot record with one active FAT partition."""
    code = _MBR.read_bytes()[:440].ljust(446, b'\0')
    entry = struct.pack('<B3sB3sII', 0x80, b'\xfe\xff\xff', 0x0e,
                        b'\xfe\xff\xff', _PARTITION // 512,
                        (_SIZE - _PARTITION) // 512)
    return (code + entry).ljust(510, b'\0') + b'\x55\xaa'
