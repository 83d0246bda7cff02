# SPDX-License-Identifier: Apache-2.0
"""Finding the parts of a buffer that are worth writing.

Not writing zeros keeps an image thin, but each gap splits one write into
two, and many small writes are slow. So only long runs of zeros are left
out.
"""

#: Grain in which zeros are looked for: the smallest unit that Ceph's
#: object store allocates.
GRAIN = 4096

_ZEROS = bytes(GRAIN)


def data_runs(data: bytes, shortest_gap: int) -> list[tuple[int, int]]:
    """Return the (start, end) ranges of data to write.

    What lies between the ranges is all zero. A run of zeros is left out
    when it is at least shortest_gap bytes long, or lies at either end of
    the data and covers at least one grain.

    :param shortest_gap: in bytes; 0 leaves nothing out
    """
    if not data:
        return []
    if shortest_gap <= 0:
        return [(0, len(data))]
    runs: list[tuple[int, int]] = []
    for start, end in _dense_grains(data):
        if runs and start - runs[-1][1] < shortest_gap:
            runs[-1] = (runs[-1][0], end)
        else:
            runs.append((start, end))
    return runs


def _dense_grains(data: bytes) -> list[tuple[int, int]]:
    """Return the ranges of neighbouring grains with a byte other than 0."""
    ranges: list[tuple[int, int]] = []
    starts_with = data.startswith
    size = len(data)
    for offset in range(0, size, GRAIN):
        end = offset + GRAIN
        if end > size:
            end = size
            if not any(data[offset:end]):
                continue
        elif starts_with(_ZEROS, offset):  # compares in place
            continue
        if ranges and ranges[-1][1] == offset:
            ranges[-1] = (ranges[-1][0], end)
        else:
            ranges.append((offset, end))
    return ranges
