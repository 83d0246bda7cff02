# SPDX-License-Identifier: Apache-2.0
"""The role record: the one value in etcd that decides who holds a role.

Every change is a compare-and-swap on the revision of the record read before,
so revisions of one role form a single chain.  Its fields make it safe:

``epoch``  grows by one or more with every change of holder, never shrinks.
``shut``   the highest epoch of which all gates up to it are known to be shut.
``hold``   an upper bound, in seconds, of any authority that may be alive in
           the epochs above ``shut``; counted from the sending of the last
           renewal in the chain.
``seq``    a number that one process never uses twice.  It tells a write that
           landed after its answer got lost from a later one with the same
           meaning: authority counts from the write that is in the chain, and
           taking a later one for it would make it too long.
"""

from collections.abc import Mapping
import dataclasses
import json
from typing import Any


class BadRecord(ValueError):
    """A stored record is not one that this release can read."""


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """One role's record; ``revision`` is etcd's mod_revision, 0 if absent."""

    epoch: int = 0
    holder: str = ''
    instance: str = ''
    boot: str = ''
    seq: int = 0
    hold: float = 0.0
    shut: int = 0
    revision: int = 0

    @property
    def vacant(self) -> bool:
        """True if nobody may hold the role's address any more."""
        return not self.holder and self.shut >= self.epoch

    def same_write(self, other: 'Record') -> bool:
        """True if ``other`` is the very value that was written as self."""
        return dataclasses.replace(other, revision=self.revision) == self


@dataclasses.dataclass(frozen=True, slots=True)
class Identity:
    """Who writes: node, random per process, and the machine's boot."""

    node: str
    instance: str
    boot: str = ''


def claim(old: Record, me: Identity, seq: int, hold: float,
          floor: int) -> Record:
    """Take the role from ``old``; ``floor`` is the highest epoch ever seen."""
    return Record(
        epoch=max(old.epoch, floor) + 1, holder=me.node,
        instance=me.instance, boot=me.boot, seq=seq, shut=old.shut,
        hold=max(old.hold, hold) if old.shut < old.epoch else hold)


def renewal(old: Record, seq: int, hold: float, opened: bool) -> Record:
    """Prolong one's own claim.

    Once the gate has been open, everything before this epoch is over: then
    and only then the bound goes down to this holder's own.
    """
    if opened:
        return dataclasses.replace(
            old, seq=seq, hold=hold, shut=old.epoch - 1)
    return dataclasses.replace(old, seq=seq, hold=max(old.hold, hold))


def release(old: Record, seq: int, opened: bool) -> Record:
    """Give the role up, the gate being shut.

    A holder that never opened vouches for nobody before it.
    """
    return dataclasses.replace(
        old, holder='', instance='', boot='', seq=seq,
        shut=old.epoch if opened else old.shut)


def transfer(old: Record, seq: int, target: str, hold: float) -> Record:
    """Pass the role on; the target has to bind the claim to its process."""
    return Record(epoch=old.epoch + 1, holder=target, seq=seq, shut=old.shut,
                  hold=max(old.hold, hold))


def bind(old: Record, me: Identity, seq: int, hold: float) -> Record:
    """Accept a transfer: same epoch, now bound to this process."""
    return dataclasses.replace(
        old, instance=me.instance, boot=me.boot, seq=seq,
        hold=max(old.hold, hold))


_TYPES: dict[str, tuple[type, ...]] = {
    'epoch': (int,), 'holder': (str,), 'instance': (str,), 'boot': (str,),
    'seq': (int,), 'hold': (int, float), 'shut': (int,)}


def dump(record: Record) -> str:
    """Return the record as stored, without its revision."""
    return json.dumps({name: getattr(record, name) for name in _TYPES},
                      sort_keys=True, separators=(',', ':'))


def from_mapping(fields: Mapping[str, Any], revision: int) -> Record:
    """Build a record from parsed JSON; :raises BadRecord: if it is none."""
    for name, types in _TYPES.items():
        value = fields.get(name)
        if not isinstance(value, types) or isinstance(value, bool):
            raise BadRecord(f'field {name} of the role record is {value!r}')
    return Record(revision=revision,
                  **{name: fields[name] for name in _TYPES})


def load(text: str, revision: int) -> Record:
    """Parse a stored record; :raises BadRecord: if it is none."""
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise BadRecord(f'the role record is not JSON: {exc}') from exc
    if not isinstance(fields, dict):
        raise BadRecord('the role record is not a JSON object')
    return from_mapping(fields, revision)
