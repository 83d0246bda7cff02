# SPDX-License-Identifier: Apache-2.0
"""Finding the parts of a buffer that are worth writing.

Not writing zeros keeps an image thin, but each gap splits one write into
two, and many small writes are slow. So only long runs of zeros are left
out.

All of an image passes through here while Python's lock is held, so dense
data is hardly looked at: a gap of N bytes covers a multiple of N, and only
there a look is needed.
"""

#: Grain in which zeros are looked for: the smallest unit that Ceph's
#: object store allocates.
GRAIN = 4096

_ZEROS = bytes(GRAIN)
_MANY_ZEROS = bytes(16 * GRAIN)


def data_runs(data: bytes, shortest_gap: int) -> list[tuple[int, int]]:
    """Return the (start, end) ranges of data to write.

    What lies between the ranges is all zero. A run of zeros is left out
    when it is at least shortest_gap bytes long, or lies at either end of
    the data and covers at least one grain.

    :param shortest_gap: in bytes; 0 leaves nothing out
    """
    size = len(data)
    if shortest_gap <= 0:
        return [(0, size)] if data else []
    runs: list[tuple[int, int]] = []
    start = _zeros_end(data, 0)
    while start < size:
        end, following = _next_gap(data, start, shortest_gap)
        runs.append((start, end))
        start = following
    return runs


def _next_gap(data: bytes, start: int, shortest: int) -> tuple[int, int]:
    """Return the (start, end) of the first gap worth leaving out.

    Behind the last one that is the end of the data, with the zeros there.

    :param start: where a grain of data begins
    """
    size = len(data)
    step = max(shortest - shortest % GRAIN, GRAIN)
    probe = (start // step + 1) * step
    while probe < size:
        end = _zeros_end(data, probe)
        if end > probe:
            begin = _zeros_begin(data, probe)
            if end == size or end - begin >= shortest:
                return begin, end
        probe = (end // step + 1) * step
    return _zeros_begin(data, size), size


def _zeros_begin(data: bytes, end: int) -> int:
    """Return where the zero grains begin that end at ``end``."""
    while end:
        grain = (end - 1) // GRAIN * GRAIN
        if not data.startswith(_ZEROS[:end - grain], grain):
            break
        end = grain
    return end


def _zeros_end(data: bytes, begin: int) -> int:
    """Return where the zero grains end that begin at ``begin``."""
    size = len(data)
    # startswith() compares in place and ends at the first byte that differs.
    while data.startswith(_MANY_ZEROS, begin):
        begin += len(_MANY_ZEROS)
    while begin < size and data.startswith(_ZEROS[:size - begin], begin):
        begin = min(begin + GRAIN, size)
    return begin
