# SPDX-License-Identifier: Apache-2.0
"""What all parts of the journal stand on."""

from collections.abc import Callable
import time

import sqlalchemy as sa


class Part:
    """Some tables of one database.

    :param engine: of SQLAlchemy; its connections must have time limits
    :param clock: seconds since 1970
    """

    def __init__(self, engine: sa.Engine,
                 clock: Callable[[], float] = time.time):
        self._engine = engine
        self._clock = clock
