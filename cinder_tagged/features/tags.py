# SPDX-License-Identifier: Apache-2.0
"""Tags: plain words with an optional kind.

Words are lower case because volume types take their name from them, and the
databases under Cinder compare names without regard to case.
"""

from collections.abc import Iterable
import dataclasses
import re

from cinder_tagged import exceptions

#: The kinds a tag may be of: whom a cluster is for, what it is made of, what
#: it is used for.
KINDS = ('type', 'medium', 'purpose')

MAX_WORD = 64
_WORD = re.compile(r'[a-z0-9](?:[a-z0-9_.-]*[a-z0-9])?')
_OPTION = 'feature_tags'


@dataclasses.dataclass(frozen=True, order=True, slots=True)
class Tag:
    """One label of a cluster, such as ``ssd`` or ``medium:ssd``."""

    word: str
    kind: str | None = None

    def __str__(self) -> str:
        return f'{self.kind}:{self.word}' if self.kind else self.word


def is_word(text: str) -> bool:
    """Tell whether ``text`` can be the word of a tag."""
    return len(text) <= MAX_WORD and bool(_WORD.fullmatch(text))


def parse_tag(text: str, *, where: str = '') -> Tag:
    """Read one tag.

    :raises FeatureConfigError: bad word or unknown kind
    """
    kind: str | None
    kind, colon, word = text.strip().rpartition(':')
    if not colon:
        kind = None
    elif kind not in KINDS:
        raise exceptions.FeatureConfigError(
            _OPTION, text, f'{kind!r} is not a kind of tag; use one of '
            f'{", ".join(KINDS)}, or the word alone', where)
    if not is_word(word):
        raise exceptions.FeatureConfigError(
            _OPTION, text, f'{word!r} is not a tag; use up to {MAX_WORD} '
            'lower-case letters, digits, "-", "_" or ".", beginning and '
            'ending with a letter or digit', where)
    return Tag(word, kind)


def parse_tags(value: str | Iterable[str], *,
               where: str = '') -> tuple[Tag, ...]:
    """Read the tags of one stanza, in the order in which they stand there.

    :param value: ``"medium:ssd, public"``, or the same as a list
    :param where: the stanza, for the error
    :returns: each word once; a kind given anywhere in the stanza is kept
    :raises FeatureConfigError: nothing in the list, a bad tag, or one word
        under two kinds
    """
    parts = value.split(',') if isinstance(value, str) else _texts(value,
                                                                  where)
    shown = value if isinstance(value, str) else ', '.join(parts)
    if not any(part.strip() for part in parts):
        raise exceptions.FeatureConfigError(
            _OPTION, shown, 'a tagged backend needs at least one tag; write '
            'for example "medium:ssd, type:public"', where)
    found: dict[str, Tag] = {}
    for part in parts:
        if not part.strip():
            raise exceptions.FeatureConfigError(
                _OPTION, shown, 'there is an empty tag between two commas; '
                'remove the comma', where)
        tag = parse_tag(part, where=where)
        before = found.get(tag.word)
        if before and before.kind and tag.kind and before.kind != tag.kind:
            raise exceptions.FeatureConfigError(
                _OPTION, shown, f'{tag.word!r} stands under two kinds, '
                f'{before.kind} and {tag.kind}; keep one of them', where)
        found[tag.word] = before if before and before.kind else tag
    return tuple(found.values())


def _texts(value: Iterable[str], where: str) -> list[str]:
    """Return the items of what should be a list of texts.

    Reports of backends carry one; what a foreign backend puts there may be
    anything.
    """
    if isinstance(value, (list, tuple)) and all(
            isinstance(part, str) for part in value):
        return list(value)
    raise exceptions.FeatureConfigError(
        _OPTION, value, 'this is no list of texts; report tags as '
        '["medium:ssd", "public"]', where)
