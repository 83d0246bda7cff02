# SPDX-License-Identifier: Apache-2.0
"""Expressions over tags: ``ssd & db & !shared``, ``ssd | nvme``.

Grammar, loosest first::

    either = all *( "|" all )
    all    = one *( "&" one )
    one    = "!" one / "(" either ")" / [ kind ":" ] word
"""

import abc
from collections.abc import Callable
from collections.abc import Mapping
import dataclasses
import re
from typing import TypeVar

from cinder_tagged import exceptions
from cinder_tagged.features import tags as tags_mod

#: Longest expression accepted: what fits in a value of a volume's metadata.
MAX_LENGTH = 255
MAX_DEPTH = 32

_TOKEN = re.compile(r'\s*(?:([&|!()])|([^\s&|!()]+))')

Words = Mapping[str, str | None]
T = TypeVar('T')


class Expression(abc.ABC):
    """A condition on a cluster's tags; compares and hashes by its text."""

    @abc.abstractmethod
    def matches(self, words: Words) -> bool:
        """Tell whether tags (kind by word) meet the condition."""

    @abc.abstractmethod
    def reasons(self, words: Words) -> list[str]:
        """Say why the tags do not meet the condition; empty if they do."""

    @abc.abstractmethod
    def words(self) -> frozenset[str]:
        """Return every word that the expression names."""

    @abc.abstractmethod
    def fold(self, leaf: Callable[['Term'], T], invert: Callable[[T], T],
             both: Callable[[T, T], T], either: Callable[[T, T], T]) -> T:
        """Evaluate bottom-up in another algebra, such as sets."""


@dataclasses.dataclass(frozen=True, slots=True)
class Term(Expression):
    """One tag, with or without its kind."""

    word: str
    kind: str | None = None

    def __str__(self) -> str:
        return f'{self.kind}:{self.word}' if self.kind else self.word

    def matches(self, words: Words) -> bool:
        return self.word in words and (
            self.kind is None or words[self.word] == self.kind)

    def reasons(self, words: Words) -> list[str]:
        return [] if self.matches(words) else [f'lacks {self}']

    def words(self) -> frozenset[str]:
        return frozenset((self.word,))

    def fold(self, leaf: Callable[['Term'], T], invert: Callable[[T], T],
             both: Callable[[T, T], T], either: Callable[[T, T], T]) -> T:
        return leaf(self)


@dataclasses.dataclass(frozen=True, slots=True)
class Not(Expression):
    """The condition does not hold."""

    inner: Expression

    def __str__(self) -> str:
        return (f'!{self.inner}' if isinstance(self.inner, (Term, Not))
                else f'!({self.inner})')

    def matches(self, words: Words) -> bool:
        return not self.inner.matches(words)

    def reasons(self, words: Words) -> list[str]:
        return [] if self.matches(words) else [f'has {self.inner}']

    def words(self) -> frozenset[str]:
        return self.inner.words()

    def fold(self, leaf: Callable[[Term], T], invert: Callable[[T], T],
             both: Callable[[T, T], T], either: Callable[[T, T], T]) -> T:
        return invert(self.inner.fold(leaf, invert, both, either))


@dataclasses.dataclass(frozen=True, slots=True)
class And(Expression):
    """Both conditions hold."""

    left: Expression
    right: Expression

    def __str__(self) -> str:
        return ' & '.join(f'({side})' if isinstance(side, Or) else str(side)
                          for side in (self.left, self.right))

    def matches(self, words: Words) -> bool:
        return self.left.matches(words) and self.right.matches(words)

    def reasons(self, words: Words) -> list[str]:
        return self.left.reasons(words) + self.right.reasons(words)

    def words(self) -> frozenset[str]:
        return self.left.words() | self.right.words()

    def fold(self, leaf: Callable[[Term], T], invert: Callable[[T], T],
             both: Callable[[T, T], T], either: Callable[[T, T], T]) -> T:
        return both(self.left.fold(leaf, invert, both, either),
                    self.right.fold(leaf, invert, both, either))


@dataclasses.dataclass(frozen=True, slots=True)
class Or(Expression):
    """At least one of the conditions holds."""

    left: Expression
    right: Expression

    def __str__(self) -> str:
        return f'{self.left} | {self.right}'

    def matches(self, words: Words) -> bool:
        return self.left.matches(words) or self.right.matches(words)

    def reasons(self, words: Words) -> list[str]:
        return [] if self.matches(words) else [f'has none of: {self}']

    def words(self) -> frozenset[str]:
        return self.left.words() | self.right.words()

    def fold(self, leaf: Callable[[Term], T], invert: Callable[[T], T],
             both: Callable[[T, T], T], either: Callable[[T, T], T]) -> T:
        return either(self.left.fold(leaf, invert, both, either),
                      self.right.fold(leaf, invert, both, either))


class _Parser:
    """Recursive descent over the grammar in the module's docstring."""

    def __init__(self, text: str):
        self.text = text
        self.tokens: list[tuple[str, int]] = [
            (m.group(1) or m.group(2), m.start(1 if m.group(1) else 2))
            for m in _TOKEN.finditer(text)]
        self.at = 0

    def peek(self) -> str:
        return self.tokens[self.at][0] if self.at < len(self.tokens) else ''

    def fail(self, reason: str) -> exceptions.ExpressionError:
        position = (self.tokens[self.at][1] if self.at < len(self.tokens)
                    else len(self.text))
        return exceptions.ExpressionError(self.text, position, reason)

    def either(self, depth: int) -> Expression:
        found = self.all(depth)
        while self.peek() == '|':
            self.at += 1
            found = Or(found, self.all(depth))
        return found

    def all(self, depth: int) -> Expression:
        found = self.one(depth)
        while self.peek() == '&':
            self.at += 1
            found = And(found, self.one(depth))
        return found

    def one(self, depth: int) -> Expression:
        if depth > MAX_DEPTH:
            raise self.fail(f'more than {MAX_DEPTH} levels are nested')
        token = self.peek()
        if token == '!':  # noqa: S105 - an operator, not a secret
            self.at += 1
            return Not(self.one(depth + 1))
        if token == '(':  # noqa: S105
            self.at += 1
            found = self.either(depth + 1)
            if self.peek() != ')':
                raise self.fail('")" was expected')
            self.at += 1
            return found
        return self.term(token)

    def term(self, token: str) -> Expression:
        if token in ('', '&', '|', ')'):
            raise self.fail('a tag was expected')
        try:
            tag = tags_mod.parse_tag(token)
        except exceptions.FeatureConfigError as error:
            raise self.fail(error.remedy) from error
        self.at += 1
        return Term(tag.word, tag.kind)


def parse(text: str) -> Expression:
    """Read an expression.

    :param text: at most 255 characters
    :raises ExpressionError: with the position and what was expected there
    """
    if len(text) > MAX_LENGTH:
        raise exceptions.ExpressionError(
            text[:40] + '...', MAX_LENGTH,
            f'it is longer than {MAX_LENGTH} characters')
    parser = _Parser(text)
    found = parser.either(0)
    if parser.peek():
        raise parser.fail('"&", "|" or the end was expected')
    return found
