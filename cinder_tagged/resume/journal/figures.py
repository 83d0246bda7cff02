# SPDX-License-Identifier: Apache-2.0
"""Quota reservations of entries, and figures of what was done again."""

from typing import Any

from oslo_db import exception as db_exception
import sqlalchemy as sa

from cinder_tagged.resume.journal import base
from cinder_tagged.resume.journal.tables import OUTCOMES
from cinder_tagged.resume.journal.tables import RESERVATIONS


class Figures(base.Part):
    """What entries had reserved, and what they came to."""

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

    @base.transaction
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
