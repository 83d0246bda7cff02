# SPDX-License-Identifier: Apache-2.0
"""The journal in one database."""

import logging

from oslo_db import exception as db_exception
import sqlalchemy as sa
from sqlalchemy import schema

from cinder_tagged.resume.journal.entries import Entries
from cinder_tagged.resume.journal.figures import Figures
from cinder_tagged.resume.journal.incarnations import Incarnations
from cinder_tagged.resume.journal.tables import METADATA

LOG = logging.getLogger(__name__)


class Journal(Entries, Figures, Incarnations):
    """Casts, and the processes that work on them."""

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
