# SPDX-License-Identifier: Apache-2.0
"""Start a service with its log file, wait until it serves, stop it."""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
import contextlib
import os
from pathlib import Path
import random
import signal
import socket
import subprocess
import threading
import time

from devstack.sandbox.guard import Guard

# Below the kernel's own range (32768 and up), so that no outgoing
# connection of another process takes a port between choice and use.
_PORTS = range(12000, 32000)
_given_out: set[int] = set()
_ports_lock = threading.Lock()


class SandboxError(Exception):
    """A part of the sandbox did not do what it was asked to."""


def free_port() -> int:
    """Return a TCP port on 127.0.0.1 that this process gave to nobody."""
    # Not the seeded generator of a test run: two runs must differ.
    rng = random.SystemRandom()
    with _ports_lock:
        while True:
            port = rng.choice(_PORTS)
            if port in _given_out:
                continue
            with socket.socket() as sock, contextlib.suppress(OSError):
                sock.bind(('127.0.0.1', port))
                _given_out.add(port)
                return port


def listening(port: int) -> bool:
    """Tell whether something accepts connections on 127.0.0.1:port."""
    with contextlib.suppress(OSError), \
            socket.create_connection(('127.0.0.1', port), timeout=2):
        return True
    return False


def wait_until(check: Callable[[], object], deadline: float,
               what: str, interval: float = 0.03) -> None:
    """Poll until check() is true.

    :param deadline: seconds from now.
    :param what: what is waited for, for the error message.
    :raises SandboxError: the deadline passed.
    """
    end = time.monotonic() + deadline
    while not check():
        if time.monotonic() > end:
            raise SandboxError(f'{what}: not within {deadline:g} s')
        time.sleep(interval)
        interval = min(interval * 1.3, 0.3)


def run(argv: Sequence[str | Path], *, timeout: float = 120,
        env: Mapping[str, str] | None = None,
        stdin: str | None = None) -> str:
    """Run a command to its end and return its standard output.

    :raises SandboxError: it failed or took longer than timeout seconds.
    """
    command = [str(word) for word in argv]
    try:
        done = subprocess.run(
            command, env=dict(env) if env is not None else None,
            input=stdin, capture_output=True, text=True, timeout=timeout,
            check=False)
    except subprocess.TimeoutExpired as exc:
        raise SandboxError(f'{command[0]}: no end in {timeout:g} s') from exc
    if done.returncode:
        raise SandboxError(
            f'{" ".join(command)}: exit {done.returncode}\n'
            f'{(done.stderr or done.stdout)[-3000:]}')
    return done.stdout


def start_time(pid: int) -> str | None:
    """Return when a live process began (tells a reused pid), or None."""
    try:
        stat = Path(f'/proc/{pid}/stat').read_text()
    except OSError:
        return None
    fields = stat.rpartition(')')[2].split()
    return None if fields[0] == 'Z' else fields[19]


class Service:
    """One long-running process, known by a pid file in its directory.

    The pid file lets a later process (``tools/demo stop``) take a kept
    service over: make an equal Service and use it.

    :param name: file-name stem for NAME.pid and NAME.log.
    :param directory: where these files are kept.
    :param argv: the command; it must stay in the foreground.
    """

    def __init__(self, name: str, directory: Path,
                 argv: Sequence[str | Path], guard: Guard,
                 env: Mapping[str, str] | None = None,
                 stop_signal: int = signal.SIGTERM) -> None:
        self.name = name
        self.directory = directory
        self.argv = [str(word) for word in argv]
        self.log = directory / f'{name}.log'
        self._pid_file = directory / f'{name}.pid'
        self._guard = guard
        self._env = dict(env or {})
        self._stop_signal = stop_signal
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process id while it lives, otherwise None."""
        if self._child is not None:
            self._child.poll()
        with contextlib.suppress(OSError, ValueError):
            pid, began = self._pid_file.read_text().split()
            if start_time(int(pid)) == began:
                return int(pid)
        return None

    @property
    def alive(self) -> bool:
        """Whether the process lives (paused counts as living)."""
        return self.pid is not None

    def start(self) -> None:
        """Start the process; does nothing if it lives already."""
        if self.alive:
            return
        environ = {k: v for k, v in os.environ.items()
                   if k != 'PYTHONDONTWRITEBYTECODE'}
        environ |= self._env | self._guard.environment()
        with self.log.open('ab') as log:
            self._child = subprocess.Popen(
                self.argv, env=environ, cwd=self.directory,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True)
        self._pid_file.write_text(
            f'{self._child.pid} {start_time(self._child.pid)}\n')

    def wait_ready(self, check: Callable[[], object],
                   deadline: float = 120, restarts: int = 0) -> None:
        """Wait until check() is true.

        :param restarts: how often it may end and is started again, as a
            service manager would.
        :raises SandboxError: the service ended, or it is not ready
            within deadline seconds; the message ends with its log.
        """
        left = restarts

        def ready_or_dead() -> bool:
            nonlocal left
            if not self.alive:
                if not left:
                    raise SandboxError(f'{self.name} ended')
                left -= 1
                self.start()
            return bool(check())

        try:
            wait_until(ready_or_dead, deadline, f'{self.name} ready')
        except SandboxError as exc:
            raise SandboxError(f'{exc}\n{self.log}:\n{self.tail()}') from exc

    def tail(self, size: int = 3000) -> str:
        """Return the end of the log, at most size bytes of it."""
        with contextlib.suppress(OSError), self.log.open('rb') as log:
            log.seek(max(0, self.log.stat().st_size - size))
            return log.read().decode(errors='replace')
        return ''

    def signal(self, number: int) -> None:
        """Send a signal to the process and its children in the group."""
        pid = self.pid
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, number)

    def pause(self) -> None:
        """Freeze the process as it is (SIGSTOP)."""
        self.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused process run on (SIGCONT)."""
        self.signal(signal.SIGCONT)

    def kill(self) -> None:
        """End the process as a crash would (SIGKILL)."""
        self.signal(signal.SIGKILL)
        self._await_end(20)

    def stop(self, grace: float = 15) -> None:
        """Ask the process to end; kill it after grace seconds."""
        pid = self.pid
        if pid is None:
            return
        self.resume()
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, self._stop_signal)
        try:
            self._await_end(grace)
        except SandboxError:
            self.kill()

    def _await_end(self, deadline: float) -> None:
        wait_until(lambda: not self.alive, deadline, f'{self.name} ended')
        self._child = None
        self._pid_file.unlink(missing_ok=True)
