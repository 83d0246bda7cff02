# SPDX-License-Identifier: Apache-2.0
"""Incarnations: one for each start of a service process."""

from collections.abc import Iterable
import dataclasses
import json
from typing import Any

import sqlalchemy as sa

from cinder_tagged.resume.journal import base
from cinder_tagged.resume.journal.tables import ENTRIES
from cinder_tagged.resume.journal.tables import INCARNATIONS

#: How long processes that are cut off stay on record, seconds.
REMEMBER = 3600.0


class Fenced(Exception):
    """This process was declared dead and must not write any more."""


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


class Incarnations(base.Part):
    """Who lives, who is fenced, who is cut off."""

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

    @base.transaction
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

    @base.transaction
    def fence(self, incarnation_id: str, why: str) -> bool:
        """Refuse all further database writes of a process.

        :returns: False if it was fenced before
        """
        with self._engine.begin() as connection:
            return bool(connection.execute(INCARNATIONS.update().where(
                INCARNATIONS.c.id == incarnation_id,
                INCARNATIONS.c.fenced_at.is_(None)).values(
                    fenced_at=self._clock(), why=why[:255])).rowcount)

    @base.transaction
    def mark_cut(self, incarnation_id: str) -> None:
        """Note that its Ceph clients are cut off: its work may be taken."""
        with self._engine.begin() as connection:
            connection.execute(INCARNATIONS.update().where(
                INCARNATIONS.c.id == incarnation_id).values(
                    cut_at=self._clock()))

    @base.transaction
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

    @base.transaction
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


def _incarnation(row: Any) -> Incarnation:
    values = dict(row._mapping)
    values['clients'] = json.loads(values['clients'])
    return Incarnation(**values)
