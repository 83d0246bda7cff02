# SPDX-License-Identifier: Apache-2.0
"""The record in the pool: who owns the volume, and how to fence it.

It is changed by compare-and-swap only.  Four rules keep two owners apart:

* A record's epoch never shrinks, and of one epoch its turn grows.
* Nothing is mapped or started in an epoch that has not claimed the record.
* Nothing is written to a mapped volume before a swap has put the mapping's
  client into the record: who claims later knows whom to fence.
* Who claims keeps the clients of the owners before in ``fence`` until the
  cluster has confirmed that they are fenced.
"""

import dataclasses
import enum
import json
from typing import Any

from cinder_tagged.ha.platform.core import model


class Refused(Exception):
    """This claim may not be made; the text says why."""


class Stage(enum.Enum):
    """How far the owner is."""

    CLAIMED = 'claimed'
    FENCED = 'fenced'
    MAPPED = 'mapped'
    STOPPING = 'stopping'
    RELEASED = 'released'


class Format(enum.Enum):
    """What was done to the volume, ever."""

    NONE = 'none'
    BEGUN = 'begun'
    DONE = 'done'


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """The owner of the volume.

    :param epoch: of the role, from etcd
    :param turn: counts claims within one epoch
    :param instance: of the keeper, new with every start
    :param clients: addresses that may write to the volume
    :param fence: addresses of earlier owners still to be fenced
    :param settle: s that the owners before and this one may take to stop
    """

    epoch: int = 0
    turn: int = 0
    node: str = ''
    instance: str = ''
    stage: Stage = Stage.RELEASED
    clients: tuple[str, ...] = ()
    fence: tuple[str, ...] = ()
    settle: float = 0.0
    format: Format = Format.NONE


def claim(old: Record, epoch: int, node: str, instance: str,
          settle: float) -> Record:
    """The record after a claim; :raises Refused: if it is too old."""
    if old.epoch > epoch:
        raise Refused(f'the volume is owned by {old.node} in epoch '
                      f'{old.epoch}; epoch {epoch} is over')
    if old.epoch == epoch and old.node not in ('', node):
        raise Refused(f'{old.node} claimed the volume in the same epoch '
                      f'{epoch}: two records of roles use one volume')
    turn = old.turn + 1 if old.epoch == epoch else 1
    stale = () if old.stage is Stage.RELEASED else old.clients
    return dataclasses.replace(
        old, epoch=epoch, turn=turn, node=node, instance=instance,
        stage=Stage.CLAIMED, clients=(),
        fence=tuple(sorted({*old.fence, *stale})),
        settle=max(settle, waits(old, settle)))


def waits(old: Record, own: float) -> float:
    """How long (s) a new owner must not start the container.

    From its first word of being master; from its claim if the owner before
    has said that it is stopping.
    """
    return 0.0 if old.stage is Stage.RELEASED else max(old.settle, own)


@dataclasses.dataclass(frozen=True, slots=True)
class Owner:
    """Who asks: a keeper, and the last claim that it made.

    :param epoch: of the role that the agent told; 0 as slave
    :param mine: (epoch, turn) of the last own claim; (0, 0) if none
    """

    instance: str
    epoch: int = 0
    mine: tuple[int, int] = (0, 0)


def judge(record: Record, asks: Owner, quiet: float, handover: float,
          leaving: float) -> model.Claim:
    """Say whose the volume is.

    :param quiet: s for which the record has looked like this to a master
    :param handover: s to give the former owner to say that it stops
    :param leaving: s to give it to stop, once it has said so
    """
    own = record.instance == asks.instance
    if own and (record.stage is Stage.CLAIMED or 0 < record.epoch
                < asks.epoch):
        # Whoever was before us is not fenced yet, or others have been master
        # between our two epochs: claim again.
        return model.Claim.STALE
    if own and record.stage is not Stage.RELEASED:
        return model.Claim.OURS
    if record.epoch > asks.epoch > 0 or (
            not own and asks.mine > (0, 0)
            and (record.epoch, record.turn) > asks.mine
            and record.epoch >= asks.epoch):
        return model.Claim.NEWER
    if record.stage is Stage.RELEASED:
        return model.Claim.FREE
    patience = leaving if record.stage is Stage.STOPPING else handover
    return model.Claim.LEAVING if quiet < patience else model.Claim.STALE


def dump(record: Record) -> str:
    """Return the record as it is stored."""
    fields = dataclasses.asdict(record)
    fields |= {'stage': record.stage.value, 'format': record.format.value}
    return json.dumps(fields, sort_keys=True, separators=(',', ':'))


def load(text: str) -> Record:
    """Parse a stored record; :raises ValueError: if it is none."""
    fields: Any = json.loads(text)
    try:
        fields |= {'stage': Stage(fields['stage']),
                   'format': Format(fields['format']),
                   'clients': tuple(fields['clients']),
                   'fence': tuple(fields['fence'])}
        return Record(**fields)
    except (TypeError, KeyError) as exc:
        raise ValueError(f'the record of the volume is damaged: {exc}'
                         ) from exc
