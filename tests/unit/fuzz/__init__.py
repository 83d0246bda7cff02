# SPDX-License-Identifier: Apache-2.0
"""Whatever comes from outside: read, or refused by the documented error.

The same examples every time, so that a failure is a change's own; with
CINDER_TAGGED_FULL=1 many more, and new ones each time.
"""

import os

from hypothesis import HealthCheck
from hypothesis import settings
from hypothesis import strategies as st

FULL = bool(os.environ.get('CINDER_TAGGED_FULL'))
#: For every test here.
bounded = settings(
    max_examples=600 if FULL else 60, derandomize=not FULL, deadline=None,
    database=None, suppress_health_check=list(HealthCheck))

#: Text with the characters that parsers stumble over more often than others.
text = st.one_of(
    st.text(max_size=60),
    st.text('&|!(): ,.-_aZ09\n\t\0é²٣', max_size=80))
numbers = st.one_of(
    st.integers(-10, 10), st.integers(-2 ** 70, 2 ** 70), st.floats(),
    st.sampled_from([10 ** 400, -10 ** 400, 1e308]))
#: Anything that JSON can carry.
json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, text),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(text, inner, max_size=4)), max_leaves=12)


@st.composite
def spoiled(draw, whole):
    """Return text with a few pieces cut out, repeated or put in."""
    for _ in range(draw(st.integers(0, 4))):
        begin = draw(st.integers(0, len(whole)))
        end = min(len(whole), begin + draw(st.integers(0, 40)))
        piece = draw(st.one_of(st.just(''), text, st.just(
            whole[begin:end] * 2), st.just('\n'), st.just(' ')))
        whole = whole[:begin] + piece + whole[end:]
    return whole


@st.composite
def altered(draw, mapping):
    """Return a mapping with some values exchanged or left out."""
    result = {}
    for key, value in mapping.items():
        how = draw(st.integers(0, 9))
        if how == 0:
            continue
        if how == 1:
            result[key] = draw(json_values)
        elif how < 5 and isinstance(value, dict):
            result[key] = draw(altered(value))
        elif how < 5 and isinstance(value, list):
            result[key] = [draw(altered(item)) if isinstance(item, dict)
                           else item for item in value]
        else:
            result[key] = value
    if draw(st.booleans()):
        result[draw(text)] = draw(json_values)
    return result
