# SPDX-License-Identifier: Apache-2.0
"""Sequences that stand where Cinder's scheduler expects lists."""

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import MutableSequence
from typing import Any
from typing import overload
from typing import TypeVar

T = TypeVar('T')


class Everything(Collection[T]):
    """All of something, fetched when somebody iterates over it."""

    def __init__(self, fetch: Callable[[], list[T]]):
        self._fetch = fetch

    def __iter__(self) -> Iterator[T]:
        return iter(self._fetch())

    def __len__(self) -> int:
        return len(self._fetch())

    def __contains__(self, item: object) -> bool:
        return item in self._fetch()


class LazyList(MutableSequence[T]):
    """A list whose items are computed when somebody looks at them.

    It behaves as the list of all of them; only what needs the end of it
    (length, slices, negative indices, changes) computes all. For one thread.
    """

    def __init__(self, source: Iterable[T]):
        self._source = iter(source)
        self._known: list[T] = []
        self._complete = False

    def _compute(self, number: int | None = None) -> list[T]:
        """Make at least so many items known; all by default."""
        while not self._complete and (number is None
                                      or len(self._known) < number):
            try:
                self._known.append(next(self._source))
            except StopIteration:
                self._complete = True
        return self._known

    @overload
    def __getitem__(self, index: int) -> T: ...

    @overload
    def __getitem__(self, index: slice) -> list[T]: ...

    def __getitem__(self, index: int | slice) -> T | list[T]:
        near = isinstance(index, int) and index >= 0
        return self._compute(index + 1 if near else None)[index]

    def __iter__(self) -> Iterator[T]:
        at = 0
        while len(self._compute(at + 1)) > at:
            yield self._known[at]
            at += 1

    def __bool__(self) -> bool:
        return bool(self._compute(1))

    def __len__(self) -> int:
        return len(self._compute())

    def __setitem__(self, index: Any, value: Any) -> None:
        self._compute()[index] = value

    def __delitem__(self, index: Any) -> None:
        del self._compute()[index]

    def insert(self, index: int, value: T) -> None:
        self._compute().insert(index, value)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, (list, LazyList)):
            return self._compute() == list(other)
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        """Show what is known; writing a log line must not compute more."""
        shown = ', '.join(map(repr, self._known))
        return f'[{shown}]' if self._complete else f'[{shown}, ...]'
