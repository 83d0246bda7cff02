# SPDX-License-Identifier: Apache-2.0
"""The container, by podman or what speaks like it."""

from collections.abc import Mapping
import contextlib
import json
from pathlib import Path
import threading
from typing import Any

from cinder_tagged.ha.platform import exceptions
from cinder_tagged.ha.platform.adapters import command
from cinder_tagged.ha.platform.adapters import process
from cinder_tagged.ha.platform.core import model as m


class Podman:
    """One container with a fixed name on this server."""

    def __init__(self, name: str, section: Any, directory: Path,
                 mountpoint: Path) -> None:
        self.name = f'cinder-tagged-{name}'
        self._section, self._mountpoint = section, mountpoint
        self._base = [section.container_command, *section.container_options]
        self._pid_file = directory / 'container.pid'
        self._known = directory / 'container.json'
        self._pid, self._began = 0, ''
        with contextlib.suppress(OSError, ValueError, TypeError):
            self._pid, self._began = json.loads(self._known.read_text())

    def _run(self, *argv: str, deadline: float = 0,
             cancel: threading.Event | None = None,
             ok: tuple[int, ...] = (0,),
             both: bool = False) -> tuple[int, str]:
        status, out = command.run(
            [*self._base, *argv], deadline or self._section.start_deadline,
            cancel, ok, both)
        return status, out.strip()

    def _learn(self) -> None:
        """Keep the first process of a start, if it came so far."""
        with contextlib.suppress(OSError, ValueError):
            self._pid = int(self._pid_file.read_text())
            self._began = process.began(self._pid)
        self._known.write_text(json.dumps([self._pid, self._began]))

    # -- the image -----------------------------------------------------------

    def load(self, archive: str) -> str:
        """Load a saved image; return the name that it has."""
        _, out = self._run('load', '-q', '-i', archive, deadline=1800)
        return out.rpartition('Loaded image: ')[2].splitlines()[0].strip()

    def digest(self, image: str) -> str:
        """Identity of an image, sha256:...; '' if it is not here."""
        status, out = self._run(
            'image', 'inspect', '--format', '{{.Id}}', image, ok=(0, 125))
        return f'sha256:{out}' if not status and out else ''

    def image(self) -> m.Image:
        """Compare the image on this server with the configured digest."""
        found = self.digest(self._section.image)
        if not found:
            return m.Image.MISSING
        wanted = self._section.digest
        return (m.Image.RIGHT if wanted in ('', found)
                else m.Image.WRONG)

    # -- the container -------------------------------------------------------

    def exists(self) -> bool:
        """Whether there is one, ended or not; asks the software."""
        return self._run('container', 'exists', self.name,
                         ok=(0, 1))[0] == 0

    @property
    def running(self) -> bool:
        """Whether its first process lives; asks the kernel."""
        return process.alive(self._pid, self._began)

    def start(self, environ: Mapping[str, str],
              cancel: threading.Event) -> None:
        """Start it in the background from the local image."""
        own = self._section
        options = [f'--env={pair}' for pair in own.environment]
        options += [f'--env={name}={value}'
                    for name, value in environ.items()]
        if own.environment_file:
            options.append(f'--env-file={own.environment_file}')
        options += [f'--publish={port}' for port in own.ports]
        self._pid_file.unlink(missing_ok=True)
        try:
            self._run(
                'run', '-d', '--name', self.name, '--pull=never',
                f'--pidfile={self._pid_file}', f'--network={own.network}',
                '--log-driver=k8s-file',
                f'--volume={self._mountpoint}:{own.data_dir}',
                *options, *own.run_options, own.image, *own.command,
                cancel=cancel)
        finally:
            # Also of one that was broken off: it may run already.
            self._learn()

    def stop(self, cancel: threading.Event) -> None:
        """Ask it to end; kill it at the deadline, or when cancelled."""
        wait = self._section.stop_deadline
        with contextlib.suppress(exceptions.PlatformError):
            self._run('stop', '-t', str(max(1, int(wait))), self.name,
                      deadline=wait + self._section.kill_deadline,
                      cancel=cancel)
        self.kill()

    def strike(self) -> bool:
        """Have the kernel end it, and wait for nothing; True if it lived."""
        return process.strike(self._pid, self._began)

    def kill(self) -> None:
        """End it at once; :raises PlatformError: if it survives."""
        deadline = self._section.kill_deadline
        gone = process.kill(self._pid, self._began, deadline)
        self.remove()
        if not gone and self.running:
            raise exceptions.PlatformError(
                f'the container {self.name} survives SIGKILL')

    def exit_words(self) -> str:
        """Exit status and last words of one that ended."""
        with contextlib.suppress(exceptions.PlatformError):
            code = self._run('container', 'inspect', '--format',
                             '{{.State.ExitCode}}', self.name)[1]
            words = self._run('logs', '--tail', '2', self.name,
                              both=True)[1]
            return f'exit {code} {words[-200:]}'.strip()
        return 'exit status unknown'

    def remove(self) -> None:
        """Remove what is left of it."""
        self._run('rm', '-f', '-i', '-t', '0', self.name,
                  deadline=max(10.0, self._section.kill_deadline))
        if not self.running:
            self._known.unlink(missing_ok=True)
            self._pid, self._began = 0, ''
