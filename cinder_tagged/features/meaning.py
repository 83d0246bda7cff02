# SPDX-License-Identifier: Apache-2.0
"""Whether two expressions ask for the same, however they are written."""

from collections.abc import Iterator
import itertools
import math

from cinder_tagged.features.expression import Expression
from cinder_tagged.features.expression import Term

#: Combinations of tags tried; with more, only equal texts count as the same.
MAX_TRIED = 4096
_OTHER = None  # a tag without a kind, or of one that nobody names


def same(one: Expression, other: Expression) -> bool:
    """Tell whether two expressions match the same clusters.

    ``ssd & db`` and ``db & ssd`` do, and so do ``!(a | b)`` and ``!a & !b``.
    Expressions too large to try all combinations of their tags are compared
    as they are written; two that differ then count as different.
    """
    if one == other:
        return True
    kinds: dict[str, set[str | None]] = {}
    for each in (one, other):
        for term in _terms(each):
            kinds.setdefault(term.word, {_OTHER}).add(term.kind)
    # Each word: absent, or there with one of the kinds.
    if math.prod(len(found) + 1 for found in kinds.values()) > MAX_TRIED:
        return False
    return all(one.matches(words) == other.matches(words)
               for words in _clusters(kinds))


def _terms(expression: Expression) -> frozenset[Term]:
    return expression.fold(
        lambda term: frozenset((term,)), lambda inner: inner,
        frozenset.union, frozenset.union)


def _clusters(kinds: dict[str, set[str | None]],
              ) -> Iterator[dict[str, str | None]]:
    choices = [[(), *(((word, kind),) for kind in found)]
               for word, found in kinds.items()]
    for choice in itertools.product(*choices):
        yield dict(pair for pairs in choice for pair in pairs)
