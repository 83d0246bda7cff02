# SPDX-License-Identifier: Apache-2.0
"""What the cluster itself remembers of a copy, beside the copied image.

Life of a record::

    (none) --claim--> COPYING --complete--> READY --retire--> DROPPING
       ^                 |                    ^                  |
       |                 | given up, or       +-- still has      |
       +-----------------+ taken over             clones         |
       +---------------------------------------------------------+

Only the holder of the copy's lease writes a record; the cluster refuses
the write otherwise.
"""

import dataclasses
import enum
import json
from typing import Any

VERSION = 1
SEED_PREFIX = 'seed-'
SEED_SNAPSHOT = 'seed'


class State(enum.StrEnum):
    """How far a copy is."""

    COPYING = 'copying'
    READY = 'ready'
    DROPPING = 'dropping'


@dataclasses.dataclass(frozen=True, slots=True)
class Copier:
    """The process that makes, or made, a copy.

    :param address: of its connection, as the cluster's blocklist wants it
    """

    host: str
    pid: int
    address: str


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """A copy in a pool.

    :param target: name of the RBD image, unique in the pool
    :param origin: what it is a copy of (``rbd://...`` or
        ``glance://IMAGE``)
    :param digest: of the original; '' when unknown. A different digest
        later means a different original.
    :param epoch: counts the attempts, from 1
    :param size: virtual size in bytes, 0 until known
    :param stored: bytes written, 0 until READY
    :param image_id: RBD's internal id of the target, '' until READY
    :param snap_id: of the snapshot that clones stand on; None without one
    """

    target: str
    state: State
    origin: str
    digest: str
    epoch: int
    copier: Copier
    began: float
    size: int = 0
    stored: int = 0
    image_id: str = ''
    snap_id: int | None = None

    def dump(self) -> str:
        """Return the form that is stored."""
        return json.dumps({'version': VERSION, **dataclasses.asdict(self)},
                          sort_keys=True)

    def complete(self, size: int, stored: int, image_id: str,
                 snap_id: int | None) -> 'Record':
        """Return the record of the finished copy."""
        return dataclasses.replace(
            self, state=State.READY, size=size, stored=stored,
            image_id=image_id, snap_id=snap_id)

    def in_state(self, state: State) -> 'Record':
        """Return the record with another state."""
        return dataclasses.replace(self, state=state)


def load(text: str) -> Record:
    """Read a stored record.

    :raises ValueError: it is damaged, or of a later version
    """
    try:
        values: dict[str, Any] = json.loads(text)
        if values.pop('version') != VERSION:
            raise ValueError('written by a later release')
        values['state'] = State(values['state'])
        values['copier'] = Copier(**values['copier'])
        return Record(**values)
    except (ValueError, TypeError, KeyError, AttributeError) as exc:
        raise ValueError(f'unreadable record {text[:200]!r}: {exc}') from exc


def seed_name(image: str) -> str:
    """Return the name of the seed of a Glance image."""
    return SEED_PREFIX + image


def is_seed(target: str) -> bool:
    """Tell whether an image of the pool is a seed, by its name."""
    return target.startswith(SEED_PREFIX)


def image_of(target: str) -> str:
    """Return the Glance image that a seed is of."""
    return target.removeprefix(SEED_PREFIX)


@dataclasses.dataclass(frozen=True, slots=True)
class Beat:
    """The sign of life that a copier leaves with each renewal.

    :param number: counts up; two equal ones show that time stood still
    :param done: bytes dealt with so far
    :param total: bytes to deal with, 0 while unknown
    """

    number: int
    done: int = 0
    total: int = 0

    def dump(self) -> str:
        """Return the form that is stored."""
        return f'{self.number} {self.done} {self.total}'


def load_beat(text: str) -> Beat:
    """Read a stored beat.

    :raises ValueError: it is damaged
    """
    number, done, total = (int(word) for word in text.split())
    return Beat(number, done, total)
