# SPDX-License-Identifier: Apache-2.0
"""Where a sandbox keeps things: directories, ports, secrets, the mark.

All of it is in one file, so that a later process (``tools/demo stop``, a
test run) can find its way around a sandbox which another one started.
"""

from collections.abc import Mapping
import dataclasses
import json
import os
from pathlib import Path
import secrets
import sys
import threading
from typing import Any

from devstack.sandbox.guard import Guard
from devstack.sandbox.process import free_port
from devstack.sandbox.process import SandboxError
from devstack.sandbox.settings import Backend
from devstack.sandbox.settings import Conf
from devstack.sandbox.settings import Settings

# A path longer than this cannot name a Unix socket.
_SOCKET_PATH_MAX = 107


class Layout:
    """The facts about one sandbox that its parts share.

    :ivar state: directory that holds everything.
    :ivar guard: ends the sandbox's processes with this one.
    """

    def __init__(self, settings: Settings, guard: Guard,
                 ports: dict[str, int] | None = None,
                 passwords: dict[str, str] | None = None) -> None:
        self.settings = settings
        self.state = settings.state
        self.guard = guard
        self._ports = ports or {}
        self._passwords = passwords or {}
        self._lock = threading.Lock()

    @classmethod
    def create(cls, settings: Settings) -> 'Layout':
        """Make the state directory of a new sandbox.

        :raises SandboxError: the directory is in use, or its path is too
            long for the sockets in it.
        """
        state = settings.state.absolute()
        settings = dataclasses.replace(settings, state=state)
        if len(str(state / 'mysql.sock')) > _SOCKET_PATH_MAX:
            raise SandboxError(
                f'--state {state}: the path is too long for a Unix socket; '
                f'choose one of at most {_SOCKET_PATH_MAX - 11} characters')
        try:
            state.mkdir(mode=0o700, parents=True)
        except FileExistsError as exc:
            raise SandboxError(
                f'--state {state}: exists already; "stop" the sandbox in '
                f'it, or choose another directory') from exc
        layout = cls(settings, Guard(remove=(state,)))
        layout.save()
        return layout

    @classmethod
    def load(cls, state: Path) -> 'Layout':
        """Find the sandbox that another process started.

        :raises SandboxError: there is none in this directory.
        """
        try:
            data = json.loads((state / 'sandbox.json').read_text())
        except OSError as exc:
            raise SandboxError(
                f'no sandbox in {state}: start one, or name its directory '
                f'with --state') from exc
        raw = data['settings']
        raw |= {'state': Path(raw['state']), 'parts': frozenset(raw['parts']),
                'backends': tuple(Backend(**b) for b in raw['backends'])}
        return cls(Settings(**raw), Guard(data['token']), data['ports'],
                   data['passwords'])

    def save(self) -> None:
        """Write down what another process needs to know."""
        settings = dataclasses.asdict(self.settings)
        settings |= {'state': str(self.state),
                     'parts': sorted(self.settings.parts)}
        self.write('sandbox.json', json.dumps({
            'settings': settings, 'token': self.guard.token,
            'ports': self._ports, 'passwords': self._passwords}, indent=1))

    def path(self, *names: str) -> Path:
        """Return a path in the state directory, with its parents made."""
        path = self.state.joinpath(*names)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def directory(self, *names: str) -> Path:
        """Return a directory in the state directory, made if missing."""
        path = self.state.joinpath(*names)
        path.mkdir(parents=True, exist_ok=True)
        return path

    def write(self, name: str, content: str) -> Path:
        """Write a file that only its owner may read."""
        path = self.path(name)
        fresh = path.with_name(f'{path.name}.new')
        fresh.touch(mode=0o600)
        fresh.write_text(content)
        fresh.rename(path)
        return path

    def write_conf(self, name: str, *layers: Conf) -> Path:
        """Write an oslo.config file; later layers override earlier."""
        merged: dict[str, dict[str, Any]] = {}
        for layer in layers:
            for section, options in layer.items():
                merged.setdefault(section, {}).update(options)
        lines = []
        for section, options in merged.items():
            lines.append(f'[{section}]')
            lines += [f'{option} = {value}'
                      for option, value in options.items()
                      if value is not None]
            lines.append('')
        return self.write(name, '\n'.join(lines))

    def port(self, name: str) -> int:
        """Return the port of a service, chosen at first use."""
        with self._lock:
            if name not in self._ports:
                self._ports[name] = free_port()
            return self._ports[name]

    def url(self, name: str) -> str:
        """Return the base URL of an HTTP service."""
        return f'http://127.0.0.1:{self.port(name)}'

    def password(self, name: str) -> str:
        """Return a password, made at first use."""
        with self._lock:
            return self._passwords.setdefault(name, secrets.token_hex(16))

    @property
    def passwords(self) -> Mapping[str, str]:
        """All passwords by name."""
        return dict(self._passwords)

    def adopt_passwords(self, passwords: Mapping[str, str]) -> None:
        """Take over the passwords that a database template knows."""
        with self._lock:
            self._passwords.update(passwords)

    @staticmethod
    def program(name: str) -> Path:
        """Return the path of a program of this Python environment."""
        return Path(sys.prefix, 'bin', name)

    @staticmethod
    def environment() -> dict[str, str]:
        """Return the variables that OpenStack's programs need."""
        programs = Path(sys.prefix, 'bin')
        environ = {'PATH': f'{programs}{os.pathsep}{os.environ["PATH"]}'}
        if 'PYTHONPATH' in os.environ:
            environ['PYTHONPATH'] = os.environ['PYTHONPATH']
        return environ

    def database_url(self, name: str) -> str:
        """Return SQLAlchemy's URL of a database."""
        socket = self.state / 'mysql.sock'
        # Over a Unix socket nobody needs TLS, and getting ready for it takes
        # PyMySQL 60 ms of processor time for each connection.
        return (f'mysql+pymysql://root@localhost/{name}'
                f'?unix_socket={socket}&ssl_disabled=true')

    @property
    def transport_url(self) -> str:
        """oslo.messaging's URL of the message bus."""
        return (f'rabbit://openstack:{self.password("bus")}'
                f'@127.0.0.1:{self.port("bus")}/')
