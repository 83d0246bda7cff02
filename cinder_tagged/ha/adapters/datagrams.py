# SPDX-License-Identifier: Apache-2.0
"""Datagrams between agents: authenticated by a shared key, replay-safe.

A packet is JSON and an HMAC-SHA256 over it.  It names its sender and
receiver, the random incarnation of the sender's process, a counter, and the
receiver's incarnation as the sender knows it.  A message counts only if it
echoes the receiver's present incarnation and its counter was not seen yet:
so packets recorded earlier prove nothing, and no clock has to be right.  A
packet with another echo only teaches the sender's incarnation.
"""

from collections.abc import Iterable
from collections.abc import Mapping
import dataclasses
import hmac
import json
import secrets
import time
from typing import Any

from cinder_tagged.ha.core import messages

DIGEST = 32
#: Counters this far below the highest one seen are still taken, once.
WINDOW = 256
#: Seconds of silence after which another incarnation is echoed.
STALE = 1.0


class Refused(Exception):
    """The packet is not authentic, not for this node, or a replay."""


@dataclasses.dataclass
class _Partner:
    """What is known of one peer's process."""

    incarnation: int = 0
    highest: int = 0
    seen: set[int] = dataclasses.field(default_factory=set)
    heard_at: float = 0.0
    retired: set[int] = dataclasses.field(default_factory=set)
    hello: int = 0


class Codec:
    """Seal and open packets of one node; keys are bytes, newest first."""

    def __init__(self, node: str, keys: Iterable[bytes]) -> None:
        self.node = node
        self._keys = list(keys)
        self._incarnation = secrets.randbits(62) | 1
        self._counter = 0
        self._partners: dict[str, _Partner] = {}

    def seal(self, message: messages.Message,
             to: Iterable[str]) -> Mapping[str, bytes]:
        """Return one packet for each receiver."""
        body = json.dumps(messages.to_wire(message), separators=(',', ':'))
        packets = {}
        for name in to:
            self._counter += 1
            partner = self._partners.get(name)
            echo = (partner.hello or partner.incarnation) if partner else 0
            head = json.dumps([self.node, name, self._incarnation,
                               self._counter, echo], separators=(',', ':'))
            packet = f'{head}\n{body}'.encode()
            packets[name] = packet + hmac.digest(
                self._keys[0], packet, 'sha256')
        return packets

    def open(self, data: bytes) -> tuple[str, messages.Message]:
        """Return (sender, message); :raises Refused: if it must not count.

        A first contact is refused too, but answered rightly afterwards.
        """
        packet, digest = data[:-DIGEST], data[-DIGEST:]
        if not any(hmac.compare_digest(
                hmac.digest(key, packet, 'sha256'), digest)
                for key in self._keys):
            raise Refused('wrong key')
        head, _, body = packet.partition(b'\n')
        sender, to, incarnation, counter, echo = _header(head)
        if to != self.node:
            raise Refused(f'meant for {to}')
        self._fresh(sender, incarnation, counter, echo)
        try:
            return sender, messages.from_wire(json.loads(body))
        except (ValueError, RecursionError, messages.BadMessage) as exc:
            raise Refused(f'no message: {exc}') from exc

    def _fresh(self, sender: str, incarnation: int, counter: int,
               echo: int) -> None:
        partner = self._partners.setdefault(sender, _Partner())
        now = time.monotonic()
        if incarnation in partner.retired:
            raise Refused('an earlier process')
        if echo != self._incarnation:
            # Answer with this incarnation, but believe nothing yet.
            if (incarnation != partner.incarnation
                    and now - partner.heard_at > STALE / 10):
                partner.hello = incarnation
            raise Refused('it does not know this process')
        if incarnation != partner.incarnation:
            partner.retired.add(partner.incarnation)
            partner.incarnation, partner.highest = incarnation, 0
            partner.seen.clear()
        if counter in partner.seen or counter <= partner.highest - WINDOW:
            raise Refused('a replay')
        partner.seen.add(counter)
        partner.hello, partner.heard_at = 0, now
        if counter > partner.highest:
            partner.highest = counter
            if len(partner.seen) > 2 * WINDOW:
                partner.seen = {c for c in partner.seen
                                if c > counter - WINDOW}


def _header(head: bytes) -> tuple[str, str, int, int, int]:
    """Read a header; :raises Refused: unless every field fits."""
    try:
        sender, to, incarnation, counter, echo = json.loads(head)
    except (ValueError, TypeError, RecursionError) as exc:
        raise Refused('no header') from exc
    if not (isinstance(sender, str) and isinstance(to, str) and all(
            type(n) is int for n in (incarnation, counter, echo))):
        raise Refused('no header')
    return sender, to, incarnation, counter, echo


def read_keys(text: str) -> list[bytes]:
    """Parse a key file: one hexadecimal key of 32 bytes or more a line.

    The first seals; all open, so keys can be changed without a gap.
    :raises ValueError: with a remedy, if there is no good key.
    """
    keys: list[bytes] = []
    for line in text.split():
        try:
            key = bytes.fromhex(line)
        except ValueError as exc:
            raise ValueError(
                'a line is not hexadecimal; make a key by '
                '"openssl rand -hex 32"') from exc
        if len(key) < 32:
            raise ValueError('a key is shorter than 32 bytes; make one by '
                             '"openssl rand -hex 32"')
        keys.append(key)
    if not keys:
        raise ValueError(
            'it holds no key; make one by "openssl rand -hex 32"')
    return keys


def wire_size(packets: Mapping[str, bytes]) -> Any:
    """Bytes of all packets, for the metrics."""
    return sum(map(len, packets.values()))
