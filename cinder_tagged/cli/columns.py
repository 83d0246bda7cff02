# SPDX-License-Identifier: Apache-2.0
"""Values that people and programs read in different ways."""

import math
from typing import Any

from cliff import columns


class Missing(columns.FormattableColumn[None]):
    """Nothing there, or nobody knows."""

    def __init__(self) -> None:
        super().__init__(None)

    def human_readable(self) -> str:
        return '-'


class Part(columns.FormattableColumn[float]):
    """A part of the whole, 0 to 1; people read per cent."""

    def human_readable(self) -> str:
        return f'{self._value:.1%}'


class YesNo(columns.FormattableColumn[bool]):
    """Yes or no."""

    def human_readable(self) -> str:
        return 'yes' if self._value else 'no'


class Texts(columns.FormattableColumn[list[str]]):
    """Several texts."""

    def human_readable(self) -> str:
        return ', '.join(self._value)


def known(value: Any) -> Any:
    """Return a value, or a mark that it is missing."""
    return Missing() if value is None else value


def amount(gib: float | None) -> Any:
    """Return GiB; missing where they are infinite or unknown."""
    if gib is None or not math.isfinite(gib):
        return Missing()
    return round(gib, 2)


def part(value: float | None) -> Any:
    """Return a part of the whole, or a mark that it is missing."""
    return Missing() if value is None else Part(round(value, 4))
