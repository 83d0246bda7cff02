# SPDX-License-Identifier: Apache-2.0
"""device-mapper's state, asked of the kernel itself.

A node in trouble is looked at often, and starting dmsetup three times per
look is what takes the time.  These are the ioctls behind ``dmsetup info``,
``table`` and ``status --noflush`` (linux/dm-ioctl.h, interface version 4);
only maps are asked for their status, since that of other targets may wait
for storage.
"""

import errno
import fcntl
import os
import struct

from cinder_tagged.ha.fence import exceptions
from cinder_tagged.ha.fence.adapters import command
from cinder_tagged.ha.fence.adapters import dmsetup
from cinder_tagged.ha.fence.core.facts import DmDevice

CONTROL = '/dev/mapper/control'
_LIST, _STATUS = 0xC138FD02, 0xC138FD0C
_TABLE, _NOFLUSH = 1 << 4, 1 << 11
_SUSPENDED, _INACTIVE, _FULL = 1 << 1, 1 << 6, 1 << 8
# version, sizes, target count, open count, flags, event, padding, device,
# name, uuid, padding
_HEADER = struct.Struct('=3I2IIiIIIQ128s129s7x')
_TARGET = struct.Struct('=QQiI16s')
_NAME = struct.Struct('=QI')
_SMALL, _LARGE = 16 << 10, 16 << 20


def devices(deadline: float) -> tuple[DmDevice, ...]:
    """Return what dmsetup.devices does, without a process.

    Raises ToolTimeout when the kernel does not answer, ToolFailed when it
    refuses.
    """
    try:
        return command.within(deadline, 'device-mapper ioctl', _devices)
    except OSError as error:
        raise exceptions.ToolFailed(
            'device-mapper ioctl', error.errno, str(error)) from error


def _devices() -> tuple[DmDevice, ...]:
    control = os.open(CONTROL, os.O_RDWR | os.O_CLOEXEC)
    try:
        found = []
        for number in names(_ask(control, _LIST, 0, _NOFLUSH)):
            try:
                found.append(_device(control, number))
            except OSError as error:
                if error.errno != errno.ENXIO:  # removed meanwhile
                    raise
        return tuple(found)
    finally:
        os.close(control)


def _device(control: int, number: int) -> DmDevice:
    answer = _ask(control, _STATUS, number, _TABLE | _NOFLUSH)
    fields = _HEADER.unpack_from(answer)
    opened, flags, name, uuid = fields[6], fields[7], *fields[11:13]
    is_map = uuid.startswith(b'mpath-')
    return dmsetup.described(
        _text(name), _text(uuid), f'{os.major(number)}:{os.minor(number)}',
        opened=opened, suspended=bool(flags & _SUSPENDED),
        inactive=bool(flags & _INACTIVE), table=targets(answer),
        status=targets(_ask(control, _STATUS, number, _NOFLUSH))
        if is_map else [])


def _ask(control: int, request: int, number: int, flags: int) -> bytes:
    size = _SMALL
    while size <= _LARGE:
        buffer = bytearray(size)
        _HEADER.pack_into(
            buffer, 0, 4, 0, 0, size, _HEADER.size, 0, 0, flags, 0, 0,
            number, b'', b'')
        fcntl.ioctl(control, request, buffer, True)
        if not _HEADER.unpack_from(buffer)[7] & _FULL:
            return bytes(buffer)
        size *= 4
    raise OSError(errno.EMSGSIZE, 'device-mapper has more to say than '
                  f'{_LARGE} bytes')


def names(answer: bytes) -> list[int]:
    """Return the device numbers in the answer to a list request."""
    found = []
    at = _HEADER.unpack_from(answer)[4]
    while True:
        number, following = _NAME.unpack_from(answer, at)
        if number:
            found.append(number)
        if not following:
            return found
        at += following


def targets(answer: bytes) -> list[list[str]]:
    """Return the lines that dmsetup prints, as words."""
    fields = _HEADER.unpack_from(answer)
    start, count = fields[4], fields[5]
    lines = []
    at = start
    for _ in range(count):
        first, length, _, following, kind = _TARGET.unpack_from(answer, at)
        text = at + _TARGET.size
        said = answer[text:answer.index(b'\0', text)].decode()
        lines.append([str(first), str(length), _text(kind), *said.split()])
        at = start + following
    return lines


def _text(field: bytes) -> str:
    return field.partition(b'\0')[0].decode(errors='surrogateescape')
