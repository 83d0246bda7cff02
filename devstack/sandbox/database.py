# SPDX-License-Identifier: Apache-2.0
"""MariaDB, reachable by a Unix socket only.

Its contents are lost with the sandbox, so it never waits for a disk.
"""

from collections.abc import Sequence
import contextlib
from pathlib import Path
from typing import Any

import pymysql

from devstack.sandbox.layout import Layout
from devstack.sandbox.part import Part
from devstack.sandbox.process import run
from devstack.sandbox.process import Service

_INNODB = (
    '--innodb-flush-method=nosync', '--innodb-flush-log-at-trx-commit=0',
    '--innodb-doublewrite=0', '--innodb-log-file-size=32M',
    '--innodb-buffer-pool-size=64M',
)


class Database(Part):
    """The MariaDB server of a sandbox."""

    name = 'database'

    def __init__(self, layout: Layout) -> None:
        super().__init__(layout)
        self.data = layout.state / 'mysql'
        self.socket = layout.state / 'mysql.sock'
        self.server = Service(
            'mariadb', layout.directory('log'),
            ['mariadbd', *self._options(), '--skip-networking',
             '--max-connections=500', '--performance-schema=0',
             f'--socket={self.socket}',
             f'--pid-file={layout.state / "mysql.pid"}'],
            layout.guard)

    def _options(self) -> list[str]:
        return ['--no-defaults', f'--datadir={self.data}', '--user=root',
                '--character-set-server=utf8mb3', *_INNODB]

    @property
    def services(self) -> Sequence[Service]:
        return (self.server,)

    def install(self) -> None:
        """Make an empty data directory."""
        run(['mariadb-install-db', *self._options(), '--skip-test-db',
             '--auth-root-authentication-method=normal'])

    def start(self) -> None:
        self.server.start()
        self.server.wait_ready(self._serves)

    def _serves(self) -> bool:
        with contextlib.suppress(pymysql.err.OperationalError):
            self.execute('SELECT 1')
            return True
        return False

    def execute(self, statement: str, *arguments: Any,
                database: str | None = None) -> Sequence[Sequence[Any]]:
        """Run one SQL statement and return its rows."""
        with contextlib.closing(pymysql.connect(
                unix_socket=str(self.socket), user='root',
                database=database, autocommit=True, connect_timeout=10,
                read_timeout=60)) as connection, \
                connection.cursor() as cursor:
            cursor.execute(statement, arguments)
            return list(cursor.fetchall())

    def create(self, names: Sequence[str]) -> None:
        """Make empty databases."""
        for name in names:
            self.execute(f'CREATE DATABASE {name}')


def server_version() -> str:
    """Return MariaDB's version: data directories are bound to it."""
    return run([Path('mariadbd'), '--no-defaults', '--version'])
