# SPDX-License-Identifier: Apache-2.0
"""Starting a worker and following it to its end.

Works the same on native and on green threads.
"""

from collections.abc import Callable
from collections.abc import Iterable
import contextlib
import logging
import os
import queue
import subprocess
import sys
import threading
import time
from typing import Any
from typing import BinaryIO
from typing import cast

from cinder_tagged.copy import errors
from cinder_tagged.copy import frames
from cinder_tagged.copy import spec
from cinder_tagged.copy.core import record as record_mod

LOG = logging.getLogger(__name__)

_LEVELS = {name: getattr(logging, name)
           for name in ('INFO', 'WARNING', 'ERROR', 'CRITICAL')}
# A worker reports each second; one that says nothing for so long hangs in
# a call that has no limit.
_SILENCE_S = 90.0
_GRACE_S = 30.0
_REPORT_S = 10.0

Report = Callable[[spec.Line], None]


def _silent(_line: spec.Line) -> None:
    """Take a report and do nothing."""


class Reporter:
    """Passes on to the log every tenth report of a worker or so.

    :param what: is copied
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._last = time.monotonic()

    def __call__(self, line: spec.Line) -> None:
        """Take a report."""
        now = time.monotonic()
        if now - self._last >= _REPORT_S:
            self._last = now
            LOG.info('Copying %(what)s: %(text)s.',
                     {'what': self._what, 'text': line.text})


class Worker:
    """A worker process under way.

    :param data: what a job without a source copies
    """

    def __init__(self, task: spec.Task,
                 data: Iterable[bytes] | None = None) -> None:
        self.task = task
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._error: BaseException | None = None
        self.process = subprocess.Popen(
            [sys.executable, '-m', 'cinder_tagged.copy.worker'],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env={**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)})
        self._stdin = cast(BinaryIO, self.process.stdin)
        self._stdout = cast(BinaryIO, self.process.stdout)
        self._thread(self._read)
        self._thread(self._feed, data)

    def _thread(self, work: Callable[..., None], *arguments: Any) -> None:
        threading.Thread(target=work, args=arguments, daemon=True).start()

    def _read(self) -> None:
        for raw in self._stdout:
            self._lines.put(raw.decode(errors='replace'))
        self._lines.put(None)

    def _feed(self, data: Iterable[bytes] | None) -> None:
        """Send the task and the data; standard input stays open."""
        try:
            self._stdin.write(self.task.dump().encode() + b'\n')
            self._stdin.flush()
            if data is not None:
                frames.send(self._stdin, data)
        except BrokenPipeError:
            pass  # it ended early, and says why
        except BaseException as exc:
            # The original broke off. A stream that closes without an end
            # frame makes the worker drop what it has.
            self._error = exc
            with contextlib.suppress(OSError):
                self._stdin.close()

    def cancel(self) -> None:
        """Ask the worker to clean up and end."""
        with contextlib.suppress(OSError):
            self.process.terminate()

    def wait(self, report: Report = _silent) -> str:
        """Follow the worker to its end.

        :param report: is given each progress report
        :returns: what the worker has to say for its task
        :raises CopyError: the worker's own error, told by its class
        """
        try:
            return self._wait(report)
        except BaseException:
            self.cancel()
            raise
        finally:
            self._end()

    def _wait(self, report: Report) -> str:
        while True:
            try:
                raw = self._lines.get(timeout=_SILENCE_S)
            except queue.Empty:
                self.process.kill()
                raise errors.CopyStalled(
                    f'the worker {self.process.pid} said nothing for '
                    f'{_SILENCE_S:g} s') from None
            if raw is None:
                raise self._reason(errors.CopyFailed(
                    f'the worker {self.process.pid} ended without an answer '
                    f'(status {self.process.wait(_GRACE_S)})'))
            try:
                line = spec.load_line(raw)
            except ValueError:
                LOG.warning('Worker %(pid)d: %(line)s', {
                    'pid': self.process.pid, 'line': raw.rstrip()})
                continue
            if line.answer == spec.Answer.DONE:
                return line.text
            if line.answer == spec.Answer.FAILED:
                raise self._reason(errors.KINDS[line.kind_of](line.text))
            if line.answer == spec.Answer.LOG:
                LOG.log(_LEVELS.get(line.kind_of, logging.INFO), '%s',
                        line.text)
            else:
                report(line)

    def _reason(self, error: errors.CopyError) -> BaseException:
        """Prefer what went wrong on our side: it came first."""
        if self._error is None:
            return error
        return errors.CopyFailed(f'the original broke off: {self._error}')

    def _end(self) -> None:
        try:
            self.process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(_GRACE_S)
        for pipe in (self._stdin, self._stdout):
            with contextlib.suppress(OSError):
                pipe.close()


def copy(job: spec.Job, data: Iterable[bytes] | None = None,
         report: Report = _silent) -> record_mod.Record:
    """Make a copy in a worker; return the record of it.

    :raises CopyError: it did not come about
    """
    return record_mod.load(Worker(job, data).wait(report))


def sweep(chore: spec.Chore) -> spec.Swept:
    """Tidy up in a worker.

    :raises CopyError: the pool cannot be reached
    """
    return spec.load_swept(Worker(chore).wait())
