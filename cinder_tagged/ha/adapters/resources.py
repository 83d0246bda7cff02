# SPDX-License-Identifier: Apache-2.0
"""What runs with a role: started in order, stopped in the opposite order."""

import abc
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
import contextlib
import os
import shlex
import signal
import subprocess
from typing import Any
from typing import Protocol

from oslo_log import log as logging

LOG = logging.getLogger(__name__)


class ResourceError(Exception):
    """A resource did not start or stop; the text has its last words."""


class Resource(Protocol):
    """One service.  Both calls may be repeated and end by a deadline."""

    name: str

    def start(self, environ: Mapping[str, str]) -> None:
        """Start it unless it runs."""

    def stop(self) -> None:
        """Stop it if it runs."""

    def prolong(self, until: float) -> None:
        """The role is ours until then (monotonic, s); must not block."""

    def lapse(self) -> None:
        """It was ours until now, and may be again in a moment."""


class Plain(abc.ABC):
    """A resource that runs until it is stopped, whoever has the role."""

    @abc.abstractmethod
    def stop(self) -> None:
        """Stop it if it runs."""

    def prolong(self, until: float) -> None:  # noqa: B027 - it has no clock
        """It does not end by itself."""

    def lapse(self) -> None:
        """So it ends at once."""
        self.stop()


def run(command: Sequence[str], deadline: float,
        environ: Mapping[str, str]) -> None:
    """Run a command; :raises ResourceError: on failure or at deadline."""
    try:
        done = subprocess.run(
            command, timeout=deadline, check=False, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={**os.environ, **environ})
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise ResourceError(f'{command[0]}: {exc}') from exc
    if done.returncode:
        words = done.stdout.decode(errors='replace').strip()[-300:]
        raise ResourceError(f'{command[0]}: exit {done.returncode}: {words}')


class Command(Plain):
    """Start, stop and status are commands."""

    def __init__(self, name: str, conf: Any) -> None:
        self.name, self._deadline = name, conf.deadline
        self._start = shlex.split(conf.start)
        self._stop = shlex.split(conf.stop)
        self._status = shlex.split(conf.status)

    def start(self, environ: Mapping[str, str]) -> None:
        if self._status:
            with contextlib.suppress(ResourceError):
                run(self._status, self._deadline, environ)
                return
        run(self._start, self._deadline, environ)

    def stop(self) -> None:
        if self._stop:
            run(self._stop, self._deadline, {})


class Unit(Plain):
    """A systemd unit."""

    def __init__(self, name: str, conf: Any) -> None:
        self.name, self._unit = name, conf.unit
        self._deadline = conf.deadline

    def start(self, environ: Mapping[str, str]) -> None:
        run(['systemctl', 'start', self._unit], self._deadline, {})

    def stop(self) -> None:
        run(['systemctl', 'stop', self._unit], self._deadline, {})


class Process(Plain):
    """A program that the agent runs, in a process group of its own."""

    def __init__(self, name: str, conf: Any) -> None:
        self.name, self._deadline = name, conf.deadline
        self._command = shlex.split(conf.start)
        self._child: subprocess.Popen[bytes] | None = None

    def start(self, environ: Mapping[str, str]) -> None:
        if self._child is not None and self._child.poll() is None:
            return
        try:
            self._child = subprocess.Popen(
                self._command, start_new_session=True,
                stdin=subprocess.DEVNULL, env={**os.environ, **environ})
        except OSError as exc:
            raise ResourceError(f'{self._command[0]}: {exc}') from exc

    def stop(self) -> None:
        child, self._child = self._child, None
        if child is None or child.poll() is not None:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(self._deadline / 2)
                return
        raise ResourceError(f'{self._command[0]} survives SIGKILL')


TYPES: dict[str, Callable[[str, Any], Resource]] = {
    'command': Command, 'unit': Unit, 'process': Process}


class Group:
    """A role's resources in their order."""

    def __init__(self, role: str, members: Sequence[Resource]) -> None:
        self.role, self._members = role, members

    def start(self, epoch: int, address: str) -> list[str]:
        """Start all; returns failures.  The epoch is in the environment."""
        environ = {'CINDER_TAGGED_HA_ROLE': self.role,
                   'CINDER_TAGGED_HA_EPOCH': str(epoch),
                   'CINDER_TAGGED_HA_ADDRESS': address}
        failures = []
        for member in self._members:
            try:
                member.start(environ)
                LOG.info('%s: started %s (epoch %d)', self.role, member.name,
                         epoch)
            except ResourceError as exc:
                failures.append(f'{member.name}: {exc}')
                LOG.error('%s: %s did not start: %s', self.role,
                          member.name, exc)
                break
        return failures

    def prolong(self, until: float) -> None:
        """Tell all that the role is ours until then (monotonic, s)."""
        for member in self._members:
            member.prolong(until)

    def stop(self) -> list[str]:
        """Stop all, last first; returns failures, but goes on."""
        return self._end([(m.name, m.stop) for m in self._members])

    def lapse(self) -> list[str]:
        """Stop what does not end by itself when the authority has ended."""
        return self._end([(m.name, m.lapse) for m in self._members])

    def _end(self, calls: Sequence[tuple[str, Callable[[], None]]]
             ) -> list[str]:
        failures = []
        for name, call in reversed(calls):
            try:
                call()
                LOG.info('%s: stopped %s', self.role, name)
            except ResourceError as exc:
                failures.append(f'{name}: {exc}')
                LOG.error('%s: %s did not stop: %s', self.role, name, exc)
        return failures
