# SPDX-License-Identifier: Apache-2.0
"""Where the journal is, and how a fenced process is kept from writing.

The fence stands in the database: before a transaction of this process that
changed anything is committed, its own record is read, locked for sharing, in
the same transaction. Fencing is an update of that record. The database orders
the two: either the zombie's commit came first, or it finds itself fenced and
is rolled back. No clock and no timeout is involved.
"""

from collections.abc import Callable
from typing import Any

from oslo_config import cfg
from oslo_db.sqlalchemy import enginefacade
from oslo_log import log as logging
import sqlalchemy as sa

from cinder_tagged.resume import options
from cinder_tagged.resume.journal import Fenced
from cinder_tagged.resume.journal import Journal

CONF = cfg.CONF
LOG = logging.getLogger(__name__)

#: Seconds; a database that does not answer must not hang a service.
_LIMITS = 'connect_timeout=10&read_timeout=30&write_timeout=30'
#: No locks on gaps between records: removing the reservations of an entry
#: that has none would stop others from adding theirs.
_ISOLATION = ('init_command=SET+SESSION+TRANSACTION+ISOLATION+LEVEL+'
              'READ+COMMITTED')
_WROTE = 'cinder_tagged_wrote'


def open_journal() -> Journal:
    """Return the journal, its tables made if they were missing."""
    options.register(CONF)
    journal = Journal(_engine())
    journal.create_tables()
    return journal


def shares_cinders_database() -> bool:
    """Tell whether one transaction can cover both."""
    return CONF.resume.connection in (None, '', CONF.database.connection)


def _engine() -> sa.Engine:
    url = CONF.resume.connection or CONF.database.connection
    manager = enginefacade.transaction_context()
    manager.configure(
        connection=url, max_retries=3, max_pool_size=CONF.resume.max_pool_size,
        # A connection above the pool's size is closed after one use, and
        # opening one costs more than all that the journal does with it.
        max_overflow=0,
        connection_parameters=(f'{_LIMITS}&{_ISOLATION}'
                               if url.startswith('mysql') else ''))
    return manager.writer.get_engine()


def install_fence(incarnation: str,
                  on_fenced: Callable[[str], None]) -> None:
    """Have Cinder's own database writes refused once this process is fenced.

    :param on_fenced: told why; called before the transaction is rolled back
    """
    if not shares_cinders_database():
        LOG.warning('[resume] connection is not Cinder\'s own database: a '
                    'process that is fenced while it commits may still '
                    'change a record.')
        return
    # Here, not above: the command of the HA agents starts without Cinder.
    from cinder_tagged import cinder_database
    engine = cinder_database.api.get_engine()
    share = (' LOCK IN SHARE MODE' if engine.dialect.name == 'mysql' else '')
    question = ('SELECT fenced_at, why FROM '  # noqa: S608 - own UUID
                f"cinder_tagged_incarnations WHERE id = '{incarnation}'"
                f'{share}')

    @sa.event.listens_for(engine, 'before_cursor_execute')
    def note_writes(connection: Any, cursor: Any, statement: str,
                    *_: Any) -> None:
        if not statement.lstrip()[:6].upper().startswith('SELECT'):
            connection.info[_WROTE] = True

    @sa.event.listens_for(engine, 'rollback')
    def forget_writes(connection: Any) -> None:
        connection.info.pop(_WROTE, None)

    @sa.event.listens_for(engine, 'commit')
    def refuse_if_fenced(connection: Any) -> None:
        if not connection.info.pop(_WROTE, False):
            return
        cursor = connection.connection.cursor()
        try:
            cursor.execute(question)
            row = cursor.fetchone()
        finally:
            cursor.close()
        if row is None or row[0] is not None:
            why = str(row[1]) if row else 'its record was removed'
            on_fenced(why)
            raise Fenced(why)
