# SPDX-License-Identifier: Apache-2.0
"""device-mapper through dmsetup: the kernel's own word, without I/O.

``--noflush`` matters: a plain status of a thin pool commits its metadata,
which hangs on dead storage.
"""

import itertools
import re

from cinder_tagged.ha.fence import exceptions
from cinder_tagged.ha.fence.adapters import command
from cinder_tagged.ha.fence.core.facts import DmDevice
from cinder_tagged.ha.fence.core.model import Path

_DEVNO = re.compile(r'(?<!\S)\d+:\d+(?!\S)')
_COUNT = re.compile(r'[0-9]{1,9}')
_COLUMNS = 'name,uuid,major,minor,open,attr'


def devices(deadline: float) -> tuple[DmDevice, ...]:
    """Return every device-mapper device with its live table."""
    info = command.run(
        ['dmsetup', 'info', '-c', '--noheadings', '--separator', '|',
         '-o', _COLUMNS], deadline)
    table = command.run(['dmsetup', 'table'], deadline)
    status = command.run(
        ['dmsetup', 'status', '--noflush', '--target', 'multipath'],
        deadline)
    return parse(info, table, status)


def wipe(name: str, deadline: float) -> None:
    """Put an error target in, once the I/O in flight has ended.

    File systems on it are not frozen: a freeze writes, and must wait.  Nor
    does it wait for udev, whose rules may read the lost storage.
    """
    command.run(['dmsetup', 'wipe_table', '--nolockfs', '--noudevsync',
                 name], deadline)


def remove(name: str, deadline: float) -> None:
    command.run(['dmsetup', 'remove', name], deadline)


def fail_if_no_path(name: str, deadline: float) -> None:
    command.run(
        ['dmsetup', 'message', name, '0', 'fail_if_no_path'], deadline)


def parse(info: str, table: str, status: str) -> tuple[DmDevice, ...]:
    """Join dmsetup's three reports by device name."""
    tables = _by_name(table)
    states = _by_name(status)
    found = []
    for line in info.splitlines():
        if '|' not in line:
            continue  # "No devices found"
        name, uuid, major, minor, opened, attr = _fields(line)
        found.append(described(
            name, uuid, f'{major}:{minor}', int(opened),
            suspended='s' in attr, inactive='I' in attr,
            table=tables.get(name, []), status=states.get(name, [])))
    return tuple(found)


def described(name: str, uuid: str, devno: str, opened: int,
              suspended: bool, inactive: bool, table: list[list[str]],
              status: list[list[str]]) -> DmDevice:
    """Return a device out of the words of its table and its status.

    Each line is [first sector, sectors, target, parameters...].
    """
    return DmDevice(
        name=name, uuid=uuid, devno=devno, opened=opened,
        suspended=suspended, inactive_table=inactive,
        targets=tuple(words[2] for words in table), below=_below(table),
        queueing=any('queue_if_no_path' in words for words in table),
        paths=_paths(status))


def _fields(line: str) -> list[str]:
    fields = [field.strip() for field in line.strip().split('|')]
    if len(fields) != 6 or not _COUNT.fullmatch(fields[4]):
        raise exceptions.Unreadable(f'dmsetup info: {line!r}')
    return fields


def _by_name(report: str) -> dict[str, list[list[str]]]:
    lines: dict[str, list[list[str]]] = {}
    for line in report.splitlines():
        name, colon, rest = line.partition(': ')
        words = rest.split()
        if colon and len(words) >= 3:
            lines.setdefault(name, []).append(words)
    return lines


def _below(lines: list[list[str]]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for words in lines:
        for devno in _DEVNO.findall(' '.join(words[3:])):
            found[devno] = None
    return tuple(found)


def _paths(lines: list[list[str]]) -> tuple[Path, ...]:
    """Paths follow as "major:minor A|F fail-count ..."."""
    found = []
    for words in lines:
        for word, state in itertools.pairwise(words):
            if _DEVNO.fullmatch(word) and state in ('A', 'F'):
                found.append(Path(word, state == 'A'))
    return tuple(found)
