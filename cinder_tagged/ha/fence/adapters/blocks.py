# SPDX-License-Identifier: Apache-2.0
"""The tree of block devices, from lsblk, or straight from sysfs.

Both read sysfs and udev only; no device is opened.  lsblk still gets a
deadline, and sysfs stands in for it when it misses that.
"""

from collections.abc import Iterable
import contextlib
import json
import os
import pathlib
from typing import Any

from oslo_log import log as logging

from cinder_tagged.ha.fence import exceptions
from cinder_tagged.ha.fence.adapters import command
from cinder_tagged.ha.fence.core.facts import Block

LOG = logging.getLogger(__name__)

# Seconds; there is another source, and fencing waits for this one.
PATIENCE = 2.0


def from_lsblk(deadline: float) -> dict[str, Block]:
    """Return the blocks by device number."""
    try:
        return parse(command.run(
            ['lsblk', '--json', '--inverse', '--all', '--output',
             'NAME,KNAME,MAJ:MIN,TYPE,STATE'], min(deadline, PATIENCE)))
    except exceptions.FenceError as error:
        LOG.warning('lsblk: %s; reading sysfs instead', error)
        return from_sysfs()


def parse(report: str) -> dict[str, Block]:
    """Read lsblk's JSON; :raises Unreadable: unless it is the tree of it."""
    blocks: dict[str, Block] = {}
    try:
        for row in json.loads(report)['blockdevices']:
            _collect(row, blocks)
    except (ValueError, KeyError, TypeError, AttributeError,
            RecursionError) as error:
        raise exceptions.Unreadable(
            f'lsblk: {type(error).__name__} {error}') from error
    return blocks


def _collect(row: dict[str, Any], blocks: dict[str, Block]) -> str:
    below = tuple(
        _collect(child, blocks) for child in row.get('children', ()))
    devno = row['maj:min'].strip()
    name, kind, state = row['kname'], row['type'], row['state'] or ''
    if not all(isinstance(text, str) for text in (name, kind, state)):
        raise TypeError(f'device {devno} is not described by texts')
    if kind in ('lvm', 'mpath', 'crypt'):
        state = ''
    blocks[devno] = Block(name, devno, kind, state, below)
    return devno


def from_sysfs(root: str = '/sys', wanted: Iterable[str] | None = None,
               ) -> dict[str, Block]:
    """Return what from_lsblk does, without a process.

    ``wanted``: device numbers; only these and what is beneath them.
    """
    blocks: dict[str, Block] = {}
    numbers = pathlib.Path(root, 'dev/block')
    todo = (sorted(os.listdir(numbers)) if wanted is None
            else list(wanted))
    while todo:
        number = todo.pop()
        if number in blocks:
            continue
        with contextlib.suppress(OSError):
            device = (numbers / number).resolve(strict=True)
            blocks[number] = Block(
                device.name, number, _kind(device),
                _read(device / 'device/state'), _below(device))
            todo.extend(blocks[number].below)
    return blocks


def _below(device: pathlib.Path) -> tuple[str, ...]:
    if (device / 'partition').exists():
        return (_read(device.parent / 'dev'),)
    slaves = device / 'slaves'
    if not slaves.is_dir():
        return ()
    return tuple(_read(slaves / name / 'dev')
                 for name in sorted(os.listdir(slaves)))


def _kind(device: pathlib.Path) -> str:
    uuid = _read(device / 'dm/uuid')
    for prefix, kind in (('LVM-', 'lvm'), ('mpath-', 'mpath'),
                         ('CRYPT-', 'crypt')):
        if uuid.startswith(prefix):
            return kind
    if uuid:
        return 'dm'
    return 'part' if (device / 'partition').exists() else 'disk'


def _read(path: pathlib.Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ''
