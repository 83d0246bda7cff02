# SPDX-License-Identifier: Apache-2.0
"""Which parts of an image are copied, and in which portions."""

from collections.abc import Iterable
from collections.abc import Iterator
import dataclasses


@dataclasses.dataclass(frozen=True, order=True, slots=True)
class Extent:
    """A range of an image, in bytes."""

    offset: int
    length: int

    def __post_init__(self) -> None:
        if self.offset < 0 or self.length <= 0:
            raise ValueError(f'no extent: {self.offset}+{self.length}')

    @property
    def end(self) -> int:
        """The offset of the first byte behind it."""
        return self.offset + self.length


def merge(extents: Iterable[Extent]) -> list[Extent]:
    """Return the same bytes as sorted extents that do not touch."""
    merged: list[Extent] = []
    for extent in sorted(extents):
        if merged and extent.offset <= merged[-1].end:
            last = merged[-1]
            merged[-1] = Extent(
                last.offset, max(last.end, extent.end) - last.offset)
        else:
            merged.append(extent)
    return merged


def portions(extents: Iterable[Extent], size: int) -> Iterator[Extent]:
    """Cut extents at the multiples of size.

    With the object size of the target each portion lies in one object, so
    that no two requests in flight meet in an object.

    :raises ValueError: size is not positive
    """
    if size <= 0:
        raise ValueError(f'portions of {size} bytes')
    for extent in extents:
        start = extent.offset
        while start < extent.end:
            end = min(extent.end, start - start % size + size)
            yield Extent(start, end - start)
            start = end


def total(extents: Iterable[Extent]) -> int:
    """Return how many bytes the extents hold together."""
    return sum(extent.length for extent in extents)
