# SPDX-License-Identifier: Apache-2.0
"""The machines' disk, kernel and initrd, from Debian's packages.

No image is mounted and no loop device used: mmdebstrap fills a directory,
``mke2fs -d`` turns it into a file system.
"""

from collections.abc import Iterator
import compileall
import dataclasses
import hashlib
import importlib.metadata
import os
from pathlib import Path
import py_compile
import re
import shutil
import stat
import subprocess
import tempfile

from packaging.requirements import Requirement

from devstack.sandbox.process import run

SUITE = 'bookworm'
GUEST = Path(__file__).parent / 'guest'
# What the root device needs, in this order; the rest loads from the disk.
ROOT_MODULES = (
    'virtio', 'virtio_ring', 'virtio_pci_legacy_dev',
    'virtio_pci_modern_dev', 'virtio_pci', 'virtio_blk')
UNCHECKED = py_compile.PycInvalidationMode.UNCHECKED_HASH


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What a lab's machines have beside a kernel and an agent.

    :param packages: of Debian
    :param dependencies: Python distributions, copied from here with all
        that they need; those here are what the project is tested with
    """

    name: str
    packages: tuple[str, ...]
    dependencies: tuple[str, ...] = ('oslo.config', 'oslo.log')
    size_mb: int = 900


FENCE = Recipe('image', (
    'busybox-static', 'iproute2', 'kmod', 'lvm2', 'lvm2-lockd', 'mount',
    'multipath-tools', 'nbd-client', 'open-iscsi', 'procps', 'psmisc',
    'python3', 'sanlock', 'sg3-utils', 'thin-provisioning-tools', 'udev'))


def fingerprint(recipe: Recipe = FENCE) -> str:
    """Return what the image is made of; another one is another image."""
    digest = hashlib.sha256(Path(__file__).read_bytes())
    digest.update(repr(recipe).encode())
    for path in sorted(p for p in GUEST.rglob('*') if p.is_file()):
        digest.update(str(path.relative_to(GUEST)).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def build(target: Path, recipe: Recipe = FENCE) -> None:
    """Make vmlinuz, initrd and base.qcow2 in target (a new directory)."""
    with tempfile.TemporaryDirectory(dir=target) as scratch:
        root = Path(scratch, 'root')
        _bootstrap(root, recipe.packages)
        release = _kernel(root, target)
        _customise(root, recipe.dependencies)
        _initrd(root, release, target / 'initrd')
        _disk(root, target, recipe.size_mb)


def _bootstrap(root: Path, packages: tuple[str, ...]) -> None:
    # The kernel package is unpacked only: its scripts would build an
    # initrd of their own for half a minute.
    fetch = ('set -e; export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"; '
             'mkdir "$1/kernel"; cd "$1/kernel"; '
             'name=$(apt-cache depends --important linux-image-cloud-amd64 '
             "| sed -n 's/.*Depends: //p' | head -1); "
             'apt-get download "$name"; for deb in *.deb; do '
             'dpkg-deb -x "$deb" .; done; rm *.deb')
    run(['nice', '-n', '10', 'mmdebstrap', '--mode=root',
         '--variant=essential', '--format=directory',
         f'--include={",".join(packages)}',
         '--dpkgopt=path-exclude=/usr/share/doc/*',
         '--dpkgopt=path-exclude=/usr/share/man/*',
         '--dpkgopt=path-exclude=/usr/share/locale/*',
         f'--customize-hook={fetch}', SUITE, root], timeout=1200)


def _kernel(root: Path, target: Path) -> str:
    unpacked = root / 'kernel'
    image, = (unpacked / 'boot').glob('vmlinuz-*')
    release = image.name.removeprefix('vmlinuz-')
    shutil.copy(image, target / 'vmlinuz')
    modules = unpacked / 'lib/modules' / release
    (root / 'usr/lib/modules').mkdir(parents=True, exist_ok=True)
    shutil.move(modules, root / 'usr/lib/modules' / release)
    shutil.rmtree(unpacked)
    run(['chroot', root, 'depmod', release])
    return release


def _customise(root: Path, distributions: tuple[str, ...]) -> None:
    for name in ('init', 'agent.py'):
        (root / 'lab').mkdir(exist_ok=True)
        shutil.copy(GUEST / name, root / 'lab' / name)
    (root / 'lab/init').chmod(0o755)
    shutil.copytree(GUEST / 'etc', root / 'etc', dirs_exist_ok=True)
    for files in dependencies(distributions):
        _copy_distribution(files, root / 'lab/deps')
    # Compiling there, by emulation, would cost a minute per command.
    compileall.compile_dir(
        root / 'lab/deps', quiet=2, invalidation_mode=UNCHECKED)
    for path in (root / 'var/cache/apt', root / 'var/lib/apt/lists'):
        shutil.rmtree(path, ignore_errors=True)


def dependencies(names: tuple[str, ...],
                 ) -> Iterator[importlib.metadata.Distribution]:
    """Yield the distributions and all that they require here."""
    seen: set[str] = set()
    todo = list(names)
    while todo:
        name = re.sub(r'[-_.]+', '-', todo.pop()).lower()
        if name in seen:
            continue
        seen.add(name)
        try:
            found = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        yield found
        for text in found.requires or ():
            wanted = Requirement(text)
            if not wanted.marker or wanted.marker.evaluate({'extra': ''}):
                todo.append(wanted.name)


def _copy_distribution(found: importlib.metadata.Distribution,
                       target: Path) -> None:
    for file in found.files or ():
        source = Path(str(found.locate_file(file)))
        inside = '..' not in file.parts and '__pycache__' not in file.parts
        if inside and 'tests' not in file.parts and source.is_file():
            copy = target / file
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, copy)


def _initrd(root: Path, release: str, target: Path) -> None:
    modules = root / 'usr/lib/modules' / release
    entries: list[tuple[str, int, bytes]] = [
        (name, stat.S_IFDIR | 0o755, b'') for name in ('bin', 'dev')]
    busybox = next(path for path in (root / 'bin/busybox',
                                     root / 'usr/bin/busybox')
                   if path.exists())
    entries.append(('bin/busybox', stat.S_IFREG | 0o755,
                    busybox.read_bytes()))
    entries.append(('init', stat.S_IFREG | 0o755,
                    (GUEST / 'initrd-init').read_bytes()))
    order = []
    for path in _with_needs(modules, [*ROOT_MODULES, 'ext4']):
        entries.append((path.name, stat.S_IFREG | 0o644,
                        path.read_bytes()))
        order.append(path.name)
    entries.append(('modules.order', stat.S_IFREG | 0o644,
                    '\n'.join(order).encode()))
    target.write_bytes(_cpio(entries))


def _with_needs(modules: Path, names: list[str]) -> list[Path]:
    """Return module files, each after those that it needs.

    A name without a file is built into the kernel.
    """
    needs = {}
    for line in (modules / 'modules.dep').read_text().splitlines():
        path, _, rest = line.partition(':')
        needs[path] = rest.split()
    files = {Path(path).stem.replace('-', '_'): path for path in needs}
    order: list[str] = []
    for name in names:
        path = files.get(name)
        if path:
            order += [*reversed(needs[path]), path]
    return [modules / path for path in dict.fromkeys(order)]


def _cpio(entries: list[tuple[str, int, bytes]]) -> bytes:
    """Return an archive in the kernel's "newc" format."""
    out = bytearray()
    for number, (name, mode, data) in enumerate(
            [*entries, ('TRAILER!!!', 0, b'')], 1):
        fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0,
                  len(name) + 1, 0)
        out += b'070701' + b''.join(b'%08X' % f for f in fields)
        out += name.encode() + b'\0'
        out += b'\0' * (-len(out) % 4)
        out += data + b'\0' * (-len(data) % 4)
    return bytes(out)


def _disk(root: Path, target: Path, size_mb: int) -> None:
    raw = target / 'base.raw'
    with open(raw, 'wb') as file:
        os.truncate(file.fileno(), size_mb << 20)
    subprocess.run(
        ['mke2fs', '-q', '-t', 'ext4', '-O', '^has_journal', '-m', '0',
         '-d', str(root), str(raw)], check=True, timeout=300)
    run(['qemu-img', 'convert', '-O', 'qcow2', raw,
         target / 'base.qcow2'])
    raw.unlink()
