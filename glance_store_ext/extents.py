# SPDX-License-Identifier: Apache-2.0
"""Which parts of a chunk of image data have to be written.

A new RBD image reads as zeros, so zeros need not be written. Many small
writes cost more than a few zeros, so only long runs are left out.
"""

from collections.abc import Iterator

#: Zeros are looked for in pieces of this size, in bytes.
GRAIN = 64 * 1024
#: A run of zeros inside a chunk is left out from this length on, in bytes.
HOLE = 256 * 1024

_ZEROS = bytes(8 * 1024 * 1024)


def data_runs(chunk: bytes, hole: int = HOLE) -> list[tuple[int, int]]:
    """Return the parts to write as (begin, end), in order.

    :param hole: shortest run of zeros to leave out; a chunk that is zeros
        altogether is left out whatever its length
    """
    if _is_zero(chunk, 0, len(chunk)):
        return []
    runs: list[tuple[int, int]] = []
    for begin, end in _pieces_with_data(chunk):
        if runs and begin - runs[-1][1] < hole:
            runs[-1] = (runs[-1][0], end)
        else:
            runs.append((begin, end))
    # Zeros at the edges of a chunk are holes too if they are long enough.
    if runs[0][0] < hole:
        runs[0] = (0, runs[0][1])
    if len(chunk) - runs[-1][1] < hole:
        runs[-1] = (runs[-1][0], len(chunk))
    return runs


def _pieces_with_data(chunk: bytes) -> Iterator[tuple[int, int]]:
    for begin in range(0, len(chunk), GRAIN):
        end = min(begin + GRAIN, len(chunk))
        if not _is_zero(chunk, begin, end):
            yield begin, end


def _is_zero(chunk: bytes, begin: int, end: int) -> bool:
    # startswith() compares in place, like memcmp, and ends at the first
    # byte that differs.
    while end - begin > len(_ZEROS):
        if not chunk.startswith(_ZEROS, begin):
            return False
        begin += len(_ZEROS)
    return chunk.startswith(_ZEROS[:end - begin], begin)
