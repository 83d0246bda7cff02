# SPDX-License-Identifier: Apache-2.0
"""The switch of the servers' power, which a fencing agent asks by a socket."""

from collections.abc import Callable
import contextlib
from pathlib import Path
import socketserver
import threading
import time
from typing import Any


class Power:
    """Answers one line with one line, in threads.

    Verbs: ``off SERVER``, ``reboot SERVER`` (the same: whoever watches the
    lab has it boot later), ``status SERVER``, ``monitor``, ``list``.

    :param path: of the socket
    :param named: gives a server by its name
    """

    def __init__(self, path: Path, named: Callable[[str], Any]) -> None:
        self.path, self._named = path, named
        #: what was done: time (monotonic), verb, server
        self.done: list[tuple[float, str, str]] = []
        self._server: socketserver.ThreadingUnixStreamServer | None = None

    def start(self) -> None:
        """Listen, until closed."""
        power = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                words = self.rfile.readline().decode().split()
                with contextlib.suppress(OSError):
                    self.wfile.write(f'{power.answer(words)}\n'.encode())

        self._server = socketserver.ThreadingUnixStreamServer(
            str(self.path), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever,
                         daemon=True).start()

    def answer(self, words: list[str]) -> str:
        """Do what is asked; an answer that begins with "error" failed."""
        verb, name = (*words, '', '')[:2]
        if verb in ('monitor', 'list'):
            return 'ok'
        try:
            server = self._named(name)
        except StopIteration:
            return f'error: no server {name}'
        if verb == 'status':
            return 'on' if server.on else 'off'
        if verb not in ('off', 'reboot'):
            return f'error: no verb {verb}'
        try:
            server.power_off()
        except (TimeoutError, RuntimeError, OSError) as exc:
            return f'error: {exc}'
        self.done.append((time.monotonic(), verb, name))
        return 'ok'

    def close(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        self.path.unlink(missing_ok=True)
