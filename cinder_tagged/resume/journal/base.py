# SPDX-License-Identifier: Apache-2.0
"""What all parts of the journal stand on."""

from collections.abc import Callable
import time

from oslo_db import api
import sqlalchemy as sa

#: Decorates what changes the journal in one transaction. The database may
#: roll one of two transactions back that wait for each other: nothing of it
#: was done, and it is done again.
transaction = api.wrap_db_retry(
    retry_interval=0.05, max_retries=20, max_retry_interval=2,
    retry_on_deadlock=True)

#: The same for what may be done twice: the answer to a commit can be lost
#: with the connection.
repeatable = api.wrap_db_retry(
    retry_interval=0.05, max_retries=20, max_retry_interval=10,
    retry_on_deadlock=True, retry_on_disconnect=True)


class Part:
    """Some tables of one database.

    :param engine: of SQLAlchemy; its connections must have time limits
    :param clock: seconds since 1970
    """

    def __init__(self, engine: sa.Engine,
                 clock: Callable[[], float] = time.time):
        self._engine = engine
        self._clock = clock
