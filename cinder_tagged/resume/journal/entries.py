# SPDX-License-Identifier: Apache-2.0
"""Entries: one for each cast, and who works on it.

Every change of an entry's state is one UPDATE that names the state it comes
from, so of several that try only one succeeds; the database decides.
"""

import dataclasses
import json
from typing import Any

from oslo_serialization import jsonutils
import sqlalchemy as sa

from cinder_tagged.resume.core.decide import State
from cinder_tagged.resume.journal import base
from cinder_tagged.resume.journal.tables import ENTRIES
from cinder_tagged.resume.journal.tables import INCARNATIONS
from cinder_tagged.resume.journal.tables import RESERVATIONS


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """One cast.

    :param message: its context and arguments as they travel on the bus,
        without the token; ``learnt`` is what a scheduler added to them
    :param queue: volume service queue (``host@backend`` or the cluster's)
        that works on it, once known
    """

    id: int
    method: str
    resource_id: str
    request_id: str
    message: dict[str, Any]
    token: str | None
    queue: str | None
    state: State
    owner: str | None
    attempts: int
    created_at: float
    changed_at: float


class Entries(base.Part):
    """What is under way."""

    @base.transaction
    def open(self, method: str, resource_id: str, request_id: str,
             message: dict[str, Any], token: str | None,
             queue: str | None) -> int:
        """Write an entry down before its message is sent; return its id."""
        now = self._clock()
        with self._engine.begin() as connection:
            result = connection.execute(ENTRIES.insert().values(
                method=method, resource_id=resource_id,
                request_id=request_id, message=jsonutils.dumps(message),
                token=token, queue=queue, state=State.CAST.value, attempts=0,
                created_at=now, changed_at=now))
            return int(result.inserted_primary_key[0])

    @base.transaction
    def claim(self, method: str, resource_id: str, request_id: str,
              owner: str, to: State,
              queue: str | None = None) -> tuple[int | None, bool]:
        """Take the entry of a message that has arrived.

        :returns: the entry's id if it was taken, and whether there is one
        """
        waiting = [State.CAST.value]
        if to is State.RUNNING:
            # A scheduler casts before it can note that it has; the volume
            # service may be quicker.
            waiting += [State.SCHEDULING.value, State.SCHEDULED.value]
        # The request tells two extends of one volume apart.
        same = sa.and_(ENTRIES.c.method == method,
                       ENTRIES.c.resource_id == resource_id,
                       ENTRIES.c.request_id == request_id)
        with self._engine.begin() as connection:
            row = connection.execute(
                sa.select(ENTRIES.c.id, ENTRIES.c.state).where(same)
                .order_by(ENTRIES.c.id)).first()
            if row is None:
                return None, False
            if row.state not in waiting:
                return None, True
            values = {'state': to.value, 'owner': owner,
                      'changed_at': self._clock()}
            if queue:
                values['queue'] = queue
            taken = connection.execute(
                # Not the state just read: a scheduler that hands it on at
                # this moment does not take it away from who claims it.
                ENTRIES.update().where(
                    ENTRIES.c.id == row.id, ENTRIES.c.state.in_(waiting))
                .values(**values)).rowcount
            return (row.id if taken else None), True

    @base.repeatable
    def learn(self, entry_id: int, owner: str,
              learnt: dict[str, Any]) -> None:
        """Keep what only the message of a later service said."""
        mine = sa.and_(ENTRIES.c.id == entry_id, ENTRIES.c.owner == owner)
        with self._engine.begin() as connection:
            row = connection.execute(
                sa.select(ENTRIES.c.message).where(mine)).first()
            if row is not None:
                connection.execute(ENTRIES.update().where(mine).values(
                    message=json.dumps({**json.loads(row.message),
                                        'learnt': learnt})))

    def hand_on(self, entry_id: int, owner: str, queue: str | None) -> None:
        """Note that a scheduler has sent its entry to a volume service."""
        self._change(entry_id, owner, state=State.SCHEDULED.value,
                     owner_=None, queue=queue)

    @base.repeatable
    def close(self, entry_id: int, owner: str | None) -> bool:
        """Remove an entry whose work has ended; False if it was not ours."""
        with self._engine.begin() as connection:
            closed = connection.execute(ENTRIES.delete().where(
                ENTRIES.c.id == entry_id,
                ENTRIES.c.owner.is_(None) if owner is None
                else ENTRIES.c.owner == owner)).rowcount
            if closed and owner is not None:
                connection.execute(RESERVATIONS.delete().where(
                    RESERVATIONS.c.entry == entry_id))
            return bool(closed)

    @base.transaction
    def offer(self, method: str, resource_id: str, request_id: str) -> bool:
        """Let whoever looks next take an entry whose message has come.

        :returns: False if there is none, or somebody has it
        """
        with self._engine.begin() as connection:
            return bool(connection.execute(ENTRIES.update().where(
                ENTRIES.c.method == method,
                ENTRIES.c.resource_id == resource_id,
                ENTRIES.c.request_id == request_id,
                ENTRIES.c.owner.is_(None)).values(changed_at=0)).rowcount)

    @base.transaction
    def take_over(self, entry: Entry, owner: str, to: State,
                  queue: str | None) -> bool:
        """Claim an entry that was left behind, exactly as it was seen.

        It counts as an attempt only if somebody had begun: a message that
        waited too long is not one that kills services.
        """
        with self._engine.begin() as connection:
            return bool(connection.execute(ENTRIES.update().where(
                ENTRIES.c.id == entry.id,
                ENTRIES.c.state == entry.state.value,
                ENTRIES.c.attempts == entry.attempts,
                ENTRIES.c.owner.is_(None) if entry.owner is None
                else ENTRIES.c.owner == entry.owner,
            ).values(state=to.value, owner=owner, queue=queue,
                     attempts=entry.attempts + (entry.owner is not None),
                     changed_at=self._clock())).rowcount)

    def left_behind(self, lost_before: float, limit: int,
                    queue: str | None) -> list[Entry]:
        """List what may need somebody, oldest first.

        :param lost_before: time before which an unclaimed one counts
        :param queue: of a volume service; None lists what no volume service
            has been named for
        """
        fenced = sa.select(INCARNATIONS.c.id).where(
            INCARNATIONS.c.cut_at.is_not(None))
        query = sa.select(ENTRIES).where(
            ENTRIES.c.queue.is_(None) if queue is None
            else ENTRIES.c.queue == queue,
            sa.or_(ENTRIES.c.owner.in_(fenced),
                   sa.and_(ENTRIES.c.owner.is_(None),
                           ENTRIES.c.changed_at < lost_before)))
        with self._engine.connect() as connection:
            rows = connection.execute(
                query.order_by(ENTRIES.c.id).limit(limit)).all()
        return [_entry(row) for row in rows]

    def entries(self) -> list[Entry]:
        """List every entry."""
        with self._engine.connect() as connection:
            rows = connection.execute(
                sa.select(ENTRIES).order_by(ENTRIES.c.id)).all()
        return [_entry(row) for row in rows]

    def put_back(self, entry_id: int, owner: str,
                 queue: str | None = None, *, at_once: bool = False) -> None:
        """Let somebody else claim an entry.

        :param queue: only this volume service's queue; None: it is to be
            scheduled again
        :param at_once: it need not count as lost first
        """
        changed: dict[str, Any] = {'changed_at': 0.0} if at_once else {}
        self._change(entry_id, owner, owner_=None, queue=queue,
                     state=(State.SCHEDULED if queue else State.CAST).value,
                     **changed)

    @base.repeatable
    def _change(self, entry_id: int, owner: str, owner_: str | None,
                **values: Any) -> None:
        with self._engine.begin() as connection:
            connection.execute(ENTRIES.update().where(
                ENTRIES.c.id == entry_id, ENTRIES.c.owner == owner,
            ).values(**{'owner': owner_, 'changed_at': self._clock(),
                        **values}))


def _entry(row: Any) -> Entry:
    values = dict(row._mapping)
    values['message'] = json.loads(values['message'])
    values['state'] = State(values['state'])
    return Entry(**values)
