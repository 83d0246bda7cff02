# SPDX-License-Identifier: Apache-2.0
"""What agents say to each other.

``Beat`` flows at a set period.  The configuration-change messages are the
first (the new controlling node to all), the second (the old one to all,
naming the target's IP: the node that it hits takes over, the others accept
that node) and the third (the old one to the target alone).  All of them
carry an epoch and may arrive twice, late or out of order.
"""

from collections.abc import Mapping
import dataclasses
from typing import Any

from cinder_tagged.ha.core import record as rec


class BadMessage(ValueError):
    """A datagram holds no message that this release knows."""


@dataclasses.dataclass(frozen=True, slots=True)
class Holding:
    """A role that the sender holds; ``age`` s since its renewal was sent.

    ``sending`` is the number of a renewal that is on its way to etcd, 0 if
    none is, and ``sending_age`` says how long ago it was sent.
    """

    role: str
    record: rec.Record
    age: float
    open: bool = False
    sending: int = 0
    sending_age: float = 0.0


@dataclasses.dataclass(frozen=True, slots=True)
class Beat:
    """One heartbeat: the sender's state and what it sees."""

    silent: tuple[str, ...] = ()
    eligible: bool = True
    why: str = ''
    load: float = 0.0
    data: int = 0
    mac: str = ''
    applied: Mapping[str, int] = dataclasses.field(default_factory=dict)
    holdings: tuple[Holding, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class First:
    """``holder`` controls ``role`` now; point your configuration at it."""

    role: str
    epoch: int
    holder: str
    address: str


@dataclasses.dataclass(frozen=True, slots=True)
class Second:
    """Broadcast: the node with IP ``target`` shall take ``role``."""

    role: str
    target: str
    record: rec.Record


@dataclasses.dataclass(frozen=True, slots=True)
class Third:
    """Unicast to the node that shall take ``role``."""

    role: str
    record: rec.Record


@dataclasses.dataclass(frozen=True, slots=True)
class Ack:
    """The first message of that epoch was carried out."""

    role: str
    epoch: int


@dataclasses.dataclass(frozen=True, slots=True)
class Ready:
    """The target's claim of that epoch is committed and its NIC prepared."""

    role: str
    epoch: int


@dataclasses.dataclass(frozen=True, slots=True)
class Declined:
    """The target will not take the role in that epoch."""

    role: str
    epoch: int
    why: str


@dataclasses.dataclass(frozen=True, slots=True)
class Released:
    """Every gate of epochs up to ``epoch`` is shut."""

    role: str
    epoch: int


@dataclasses.dataclass(frozen=True, slots=True)
class Switch:
    """An administrator's wish, passed on to the controlling node."""

    role: str
    target: str
    broadcast: bool


Message = (Beat | First | Second | Third | Ack | Ready | Declined | Released
           | Switch)

_KINDS: dict[str, type[Any]] = {
    cls.__name__.lower(): cls
    for cls in (Beat, First, Second, Third, Ack, Ready, Declined, Released,
                Switch)}


def to_wire(message: Message) -> dict[str, Any]:
    """Return the message as JSON types, with its kind under ``k``."""
    fields = dataclasses.asdict(message)
    fields['k'] = type(message).__name__.lower()
    return fields


def from_wire(fields: Mapping[str, Any]) -> Message:
    """Build a message; :raises BadMessage: unless every field fits."""
    if not isinstance(fields, Mapping):
        raise BadMessage('not an object')
    cls = _KINDS.get(str(fields.get('k')))
    if cls is None:
        raise BadMessage(f'unknown kind of message {fields.get("k")!r}')
    try:
        message: Message = _build(cls, fields)
    except (KeyError, TypeError, AttributeError, rec.BadRecord) as exc:
        raise BadMessage(f'bad {cls.__name__}: {exc}') from exc
    return message


def _build(cls: type[Any], fields: Mapping[str, Any]) -> Any:
    values = {}
    for field in dataclasses.fields(cls):
        values[field.name] = _fit(field, fields[field.name])
    return cls(**values)


def _fit(field: 'dataclasses.Field[Any]', value: Any) -> Any:
    if field.type is rec.Record:
        return rec.from_mapping(value, _integer('revision', value))
    if field.name == 'holdings':
        # Agents of the first release do not say what they are sending.
        return tuple(_build(Holding, {'sending': 0, 'sending_age': 0.0,
                                      **item}) for item in value)
    if field.name == 'applied':
        if not all(isinstance(key, str) and type(epoch) is int
                   for key, epoch in value.items()):
            raise TypeError('applied must map roles to epochs')
        return dict(value)
    if field.name == 'silent':
        if not all(isinstance(item, str) for item in value):
            raise TypeError('silent must name nodes')
        return tuple(value)
    if field.type is float and isinstance(value, int):
        value = float(value)
    if type(value) is not field.type:
        raise TypeError(f'{field.name} = {value!r}')
    return value


def _integer(name: str, fields: Mapping[str, Any]) -> int:
    value = fields[name]
    if type(value) is not int:
        raise TypeError(f'{name} = {value!r}')
    return value
