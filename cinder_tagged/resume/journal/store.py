# SPDX-License-Identifier: Apache-2.0
"""Reading and writing the journal.

Every change of an entry's state is one UPDATE that names the state it comes
from, so of several that try only one succeeds; the database decides.
"""

from collections.abc import Callable
from collections.abc import Iterable
import dataclasses
import json
import logging
import time
from typing import Any

from oslo_db import exception as db_exception
from oslo_serialization import jsonutils
import sqlalchemy as sa
from sqlalchemy import schema

from cinder_tagged.resume.core.decide import State
from cinder_tagged.resume.journal.tables import ENTRIES
from cinder_tagged.resume.journal.tables import INCARNATIONS
from cinder_tagged.resume.journal.tables import METADATA
from cinder_tagged.resume.journal.tables import OUTCOMES
from cinder_tagged.resume.journal.tables import RESERVATIONS

LOG = logging.getLogger(__name__)

#: How long processes that are cut off stay on record, seconds.
REMEMBER = 3600.0


class Fenced(Exception):
    """This process was declared dead and must not write any more."""


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


@dataclasses.dataclass(frozen=True, slots=True)
class Incarnation:
    """One start of a service process.

    :param clients: addresses of its Ceph clients by fsid
    :param fenced_at: since when its database writes are refused
    :param cut_at: since when its Ceph clients are blocklisted, too
    :param sick_at: since when its cluster does not answer it; None while it
        does
    :param sound_at: when its cluster answered it last
    """

    id: str
    kind: str
    host: str
    queue: str | None
    node: str
    pid: int
    clients: dict[str, list[str]]
    started_at: float
    seen_at: float
    fenced_at: float | None = None
    cut_at: float | None = None
    sick_at: float | None = None
    sound_at: float | None = None
    why: str | None = None


class Journal:
    """The journal in one database.

    :param engine: of SQLAlchemy; its connections must have time limits
    :param clock: seconds since 1970
    """

    def __init__(self, engine: sa.Engine,
                 clock: Callable[[], float] = time.time):
        self._engine = engine
        self._clock = clock

    def create_tables(self) -> None:
        """Make the tables that are missing.

        Several services may start at once: none trips over another's.
        """
        missing = set(METADATA.tables) - set(
            sa.inspect(self._engine).get_table_names())
        for name in sorted(missing):
            table = METADATA.tables[name]
            with self._engine.begin() as connection:
                connection.execute(schema.CreateTable(table,
                                                      if_not_exists=True))
            for index in table.indexes:
                try:
                    index.create(self._engine)
                except (sa.exc.DBAPIError, db_exception.DBError):
                    # Another service was quicker; the table is no slower.
                    LOG.debug('Index %s is there already.', index.name)

    # -- entries ----------------------------------------------------------

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

    def _change(self, entry_id: int, owner: str, owner_: str | None,
                **values: Any) -> None:
        with self._engine.begin() as connection:
            connection.execute(ENTRIES.update().where(
                ENTRIES.c.id == entry_id, ENTRIES.c.owner == owner,
            ).values(**{'owner': owner_, 'changed_at': self._clock(),
                        **values}))

    # -- quota and figures ------------------------------------------------

    def reserved(self, entry_id: int) -> dict[str | None, list[str]]:
        """Return an entry's quota reservations by project."""
        with self._engine.connect() as connection:
            rows = connection.execute(
                sa.select(RESERVATIONS.c.project_id, RESERVATIONS.c.uuid)
                .where(RESERVATIONS.c.entry == entry_id)).all()
        found: dict[str | None, list[str]] = {}
        for project, uuid in rows:
            found.setdefault(project, []).append(uuid)
        return found

    def count(self, method: str, outcome: str, seconds: float) -> None:
        """Count what was done again.

        :param seconds: from the request to its end
        """
        same = sa.and_(OUTCOMES.c.method == method,
                       OUTCOMES.c.outcome == outcome)
        with self._engine.begin() as connection:
            longest = sa.case((OUTCOMES.c.longest > seconds,
                               OUTCOMES.c.longest), else_=seconds)
            if connection.execute(OUTCOMES.update().where(same).values(
                    longest=longest, number=OUTCOMES.c.number + 1,
                    seconds=OUTCOMES.c.seconds + seconds)).rowcount:
                return
        try:
            with self._engine.begin() as connection:
                connection.execute(OUTCOMES.insert().values(
                    method=method, outcome=outcome, number=1,
                    seconds=seconds, longest=seconds))
        except (sa.exc.IntegrityError, db_exception.DBDuplicateEntry):
            self.count(method, outcome, seconds)

    def outcomes(self) -> list[dict[str, Any]]:
        """Return what was done again, by operation and outcome."""
        with self._engine.connect() as connection:
            return [dict(row._mapping) for row in connection.execute(
                sa.select(OUTCOMES).order_by(OUTCOMES.c.method,
                                             OUTCOMES.c.outcome))]

    # -- incarnations -----------------------------------------------------

    def register(self, incarnation: Incarnation) -> None:
        """Write down a process that has started."""
        values = dataclasses.asdict(incarnation)
        values['clients'] = json.dumps(incarnation.clients)
        with self._engine.begin() as connection:
            connection.execute(INCARNATIONS.insert().values(**values))

    def clients(self, incarnation_id: str,
                clients: dict[str, list[str]]) -> None:
        """Write down the Ceph clients of a process, before they write.

        :raises Fenced: the process was declared dead
        """
        self._update_live(incarnation_id, clients=json.dumps(clients))

    def beat(self, incarnation_id: str, sick_at: float | None = None,
             sound_at: float | None = None) -> None:
        """Give a sign of life.

        :param sick_at: since when this process's cluster does not answer it
        :param sound_at: when it answered last
        :raises Fenced: the process was declared dead
        """
        self._update_live(incarnation_id, seen_at=self._clock(),
                          sick_at=sick_at, sound_at=sound_at)

    def _update_live(self, incarnation_id: str, **values: Any) -> None:
        with self._engine.begin() as connection:
            done = connection.execute(INCARNATIONS.update().where(
                INCARNATIONS.c.id == incarnation_id,
                INCARNATIONS.c.fenced_at.is_(None)).values(**values)).rowcount
            if done:
                return
            # MySQL counts changed rows only: equal values are no proof.
            row = connection.execute(
                sa.select(INCARNATIONS.c.fenced_at, INCARNATIONS.c.why).where(
                    INCARNATIONS.c.id == incarnation_id)).first()
        if row is None or row.fenced_at is not None:
            raise Fenced(row.why if row else 'its record was removed')

    def fence(self, incarnation_id: str, why: str) -> bool:
        """Refuse all further database writes of a process.

        :returns: False if it was fenced before
        """
        with self._engine.begin() as connection:
            return bool(connection.execute(INCARNATIONS.update().where(
                INCARNATIONS.c.id == incarnation_id,
                INCARNATIONS.c.fenced_at.is_(None)).values(
                    fenced_at=self._clock(), why=why[:255])).rowcount)

    def mark_cut(self, incarnation_id: str) -> None:
        """Note that its Ceph clients are cut off: its work may be taken."""
        with self._engine.begin() as connection:
            connection.execute(INCARNATIONS.update().where(
                INCARNATIONS.c.id == incarnation_id).values(
                    cut_at=self._clock()))

    def cut_from(self, incarnation_id: str, fsid: str) -> None:
        """Note that its clients are cut off one cluster; maybe the last."""
        with self._engine.begin() as connection:
            row = connection.execute(
                sa.select(INCARNATIONS.c.clients).where(
                    INCARNATIONS.c.id == incarnation_id)
                .with_for_update()).first()
            if row is None:
                return
            left = json.loads(row.clients)
            left.pop(fsid, None)
            values: dict[str, Any] = {'clients': json.dumps(left)}
            if not left:
                values['cut_at'] = self._clock()
            connection.execute(INCARNATIONS.update().where(
                INCARNATIONS.c.id == incarnation_id,
                INCARNATIONS.c.cut_at.is_(None)).values(**values))

    def incarnations(self) -> list[Incarnation]:
        """List every process on record, oldest first."""
        with self._engine.connect() as connection:
            rows = connection.execute(
                sa.select(INCARNATIONS)
                .order_by(INCARNATIONS.c.started_at)).all()
        return [_incarnation(row) for row in rows]

    def forget(self, incarnation_ids: Iterable[str]) -> None:
        """Remove processes that are cut off and own nothing any more.

        Those stay that were cut off less than REMEMBER seconds ago.
        """
        owned = sa.select(ENTRIES.c.owner).where(ENTRIES.c.owner.is_not(None))
        old = self._clock() - REMEMBER
        with self._engine.begin() as connection:
            connection.execute(INCARNATIONS.delete().where(
                INCARNATIONS.c.id.in_(list(incarnation_ids)),
                INCARNATIONS.c.cut_at < old,
                INCARNATIONS.c.id.not_in(owned)))


def _entry(row: Any) -> Entry:
    values = dict(row._mapping)
    values['message'] = json.loads(values['message'])
    values['state'] = State(values['state'])
    return Entry(**values)


def _incarnation(row: Any) -> Incarnation:
    values = dict(row._mapping)
    values['clients'] = json.loads(values['clients'])
    return Incarnation(**values)
