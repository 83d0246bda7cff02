# SPDX-License-Identifier: Apache-2.0
"""Messages of peers, records in etcd."""

import contextlib
import hmac
import json

from hypothesis import example
from hypothesis import given
from hypothesis import strategies as st
from oslotest import base

from cinder_tagged.ha.adapters import datagrams
from cinder_tagged.ha.core import messages
from cinder_tagged.ha.core import record as rec
from tests.unit import fuzz

_KEY = b'k' * 32
_RECORD = rec.Record(epoch=3, holder='a', instance='i', boot='b', seq=4,
                     hold=1.0, shut=2, revision=9)
_MESSAGES = [
    messages.Beat(silent=('b',), applied={'control': 3}, holdings=(
        messages.Holding('control', _RECORD, 0.1, True),)),
    messages.First('control', 3, 'a', '10.0.0.1'),
    messages.Second('control', '10.0.0.2', _RECORD),
    messages.Third('control', _RECORD), messages.Ack('control', 3),
    messages.Ready('control', 3), messages.Declined('control', 3, 'no'),
    messages.Released('control', 3), messages.Switch('control', 'b', True)]


def sealed(head, body):
    """Return a packet with the right key, whatever is in it."""
    packet = head + b'\n' + body
    return packet + hmac.digest(_KEY, packet, 'sha256')


class MessageTest(base.BaseTestCase):

    @given(st.sampled_from(_MESSAGES).flatmap(
        lambda message: fuzz.altered(messages.to_wire(message))))
    @fuzz.bounded
    def test_from_wire(self, fields):
        with contextlib.suppress(messages.BadMessage):
            messages.to_wire(messages.from_wire(fields))

    @given(fuzz.json_values)
    @fuzz.bounded
    def test_from_wire_of_anything(self, value):
        with contextlib.suppress(messages.BadMessage):
            messages.from_wire(value)

    def open(self, data):
        codec = datagrams.Codec('b', [_KEY])
        with contextlib.suppress(datagrams.Refused):
            codec.open(data)

    @given(st.binary(max_size=200))
    @fuzz.bounded
    def test_open_without_the_key(self, data):
        self.open(data)

    @given(st.one_of(st.binary(max_size=80), fuzz.json_values.map(
        lambda v: json.dumps(v).encode())))
    @example(b'[[1], "b", 1, 1, 1]')
    @example(b'["a", "b", [1], 1, 1]')
    @example(b'["a", "b", 1, {}, 1]')
    @example(b'[' * 20000)
    @example(b'["a", "b", 1]')
    @example(b'\xff')
    @fuzz.bounded
    def test_open_any_header(self, head):
        self.open(sealed(head, b'{}'))

    @given(st.one_of(st.binary(max_size=80), fuzz.json_values.map(
        lambda v: json.dumps(v).encode())), st.sampled_from(['1', '"x"']))
    @example(b'[' * 20000, '1')
    @example(b'\xff', '1')
    @example(b'7', '1')
    @fuzz.bounded
    def test_open_any_body(self, body, counter):
        codec = datagrams.Codec('b', [_KEY])
        head = f'["a", "b", 5, {counter}, {codec._incarnation}]'.encode()
        with contextlib.suppress(datagrams.Refused):
            codec.open(sealed(head, body))

    @given(st.one_of(fuzz.text, fuzz.altered(
        json.loads(rec.dump(_RECORD))).map(json.dumps)))
    @example('[' * 20000)
    @fuzz.bounded
    def test_record(self, text):
        with contextlib.suppress(rec.BadRecord):
            rec.load(text, 1)

    @given(fuzz.text)
    @fuzz.bounded
    def test_keys(self, text):
        with contextlib.suppress(ValueError):
            self.assertTrue(datagrams.read_keys(text))
