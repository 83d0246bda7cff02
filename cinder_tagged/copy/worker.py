# SPDX-License-Identifier: Apache-2.0
"""The process that does one task: python -m cinder_tagged.copy.worker.

A process of its own, because then a service that runs on green threads is
not held up, the memory is given back, and a fault inside librbd ends one
copy and not the service. It reads a task from standard input, one line,
then either frames of data or nothing. When standard input closes early,
the service that wanted the copy is gone: the worker cleans up and ends.
"""

import logging
import os
import signal
import sys
import threading
import time
from typing import Any

import rados
import rbd

from cinder_tagged import exceptions
from cinder_tagged.copy import copier as copier_mod
from cinder_tagged.copy import errors
from cinder_tagged.copy import spec
from cinder_tagged.copy import sweeper
from cinder_tagged.copy.core.progress import Progress

LOG = logging.getLogger('cinder_tagged.copy')

_REPORT_S = 1.0
# Time for cleaning up once the copy failed; above what the removal of an
# image waits for a dead client's watch.
_LAST_RESORT_S = 120.0


class _Output(logging.Handler):
    """Writes answers, and log messages as answers."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._mutex = threading.Lock()

    def emit(self, record: logging.LogRecord) -> None:
        """Send a log message to the service."""
        self.send(spec.Line(spec.Answer.LOG, record.getMessage(),
                            record.levelname))

    def send(self, line: spec.Line) -> None:
        """Write one answer; nobody may be there any more to read it."""
        try:
            with self._mutex:
                sys.stdout.write(line.dump() + '\n')
                sys.stdout.flush()
        except (OSError, ValueError):
            pass


def _report(progress: Progress, output: _Output) -> None:
    """Tell how far the copy is, until the process ends."""
    while True:
        time.sleep(_REPORT_S)
        output.send(spec.Line(
            spec.Answer.PROGRESS, progress.text(time.monotonic()),
            numbers=(progress.done, progress.total, progress.written)))


def _background(work: Any, *arguments: Any) -> None:
    threading.Thread(target=work, args=arguments, daemon=True).start()


def _last_resort() -> None:
    time.sleep(_LAST_RESORT_S)
    os._exit(4)


class Worker:
    """One run of the process."""

    def __init__(self) -> None:
        self._output = _Output()
        logging.getLogger().addHandler(self._output)
        logging.getLogger().setLevel(logging.INFO)
        self._copier: copier_mod.Copier | None = None

    def run(self) -> int:
        """Do the task; return the exit status."""
        task = spec.load(sys.stdin.buffer.readline().decode())
        try:
            done = (self._sweep(task) if isinstance(task, spec.Chore)
                    else self._copy(task))
        except (exceptions.CinderTaggedError, rados.Error,
                rbd.Error) as exc:
            self._failed(exc)
            return 1
        self._output.send(spec.Line(spec.Answer.DONE, done))
        return 0

    def _sweep(self, chore: spec.Chore) -> str:
        _background(_report, Progress(time.monotonic()), self._output)
        return sweeper.Sweeper(chore, self._lost).run().dump()

    def _copy(self, job: spec.Job) -> str:
        progress = Progress(time.monotonic())
        self._copier = copier_mod.Copier(job, progress, sys.stdin.buffer,
                                         self._lost)
        self._copier.streamed = lambda: _background(self._watch_input)
        if job.source is not None:
            _background(self._watch_input)
        signal.signal(signal.SIGTERM, lambda *_args: self._cancel())
        _background(_report, progress, self._output)
        return self._copier.run().dump()

    def _failed(self, exc: Exception) -> None:
        name = type(exc).__name__
        kind = name if name in errors.KINDS else errors.CopyFailed.__name__
        self._output.send(spec.Line(
            spec.Answer.FAILED, str(exc) or name, kind))

    def _watch_input(self) -> None:
        """Stop when the service that wants the copy is gone."""
        if not sys.stdin.buffer.read(1):
            self._cancel()

    def _cancel(self) -> None:
        _background(_last_resort)
        if self._copier is not None:
            self._copier.cancel()

    def _lost(self, why: str) -> None:
        """End at once: from here on another one may write."""
        self._failed(errors.LeaseLost(why))
        os._exit(3)


def main() -> None:
    """Run the worker."""
    status = Worker().run()
    sys.stdout.flush()
    # Connections are closed by now; skip what the interpreter would do to
    # threads that still wait for input.
    os._exit(status)


if __name__ == '__main__':
    main()
