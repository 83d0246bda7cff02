# SPDX-License-Identifier: Apache-2.0
"""A stream with a clear end, through a pipe.

A pipe that closes looks the same whether the sender finished or died. So
data travels in frames, and an empty frame says that it was all.
"""

from collections.abc import Iterable
from collections.abc import Iterator
import struct
from typing import BinaryIO

from cinder_tagged.copy import errors
from cinder_tagged.copy.core.extents import Extent

_HEADER = struct.Struct('>I')
_LONGEST = 64 << 20


def send(pipe: BinaryIO, chunks: Iterable[bytes]) -> None:
    """Write all chunks and the end."""
    for chunk in chunks:
        for start in range(0, len(chunk), _LONGEST):
            part = chunk[start:start + _LONGEST]
            pipe.write(_HEADER.pack(len(part)))
            pipe.write(part)
    pipe.write(_HEADER.pack(0))
    pipe.flush()


def receive(pipe: BinaryIO) -> Iterator[bytes]:
    """Yield what was sent.

    :raises CopyCancelled: the sender went away before the end
    """
    while True:
        length = _HEADER.unpack(_exactly(pipe, _HEADER.size))[0]
        if not length:
            return
        if length > _LONGEST:
            raise errors.CopyFailed('not a stream of frames')
        yield _exactly(pipe, length)


def _exactly(pipe: BinaryIO, length: int) -> bytes:
    data = pipe.read(length)
    if len(data) < length:
        raise errors.CopyCancelled('the sender went away')
    return data


def blocks(chunks: Iterable[bytes], size: int,
           block: int) -> Iterator[tuple[Extent, bytes]]:
    """Regroup a stream of size bytes into aligned blocks.

    :raises CopyFailed: more (what was counted so far) or fewer came
    """
    offset, parts, held = 0, [], 0
    for chunk in chunks:
        parts.append(chunk)
        held += len(chunk)
        if offset + held > size:
            break
        if held < block:
            continue
        data = b''.join(parts)
        whole = held - held % block
        for start in range(0, whole, block):
            yield (Extent(offset + start, block),
                   data[start:start + block])
        offset += whole
        parts, held = ([data[whole:]] if held > whole else []), held - whole
    if offset + held != size:
        raise errors.CopyFailed(
            f'the image has {size} bytes but {offset + held} came')
    if held:
        yield Extent(offset, held), b''.join(parts)
