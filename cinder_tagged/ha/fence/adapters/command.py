# SPDX-License-Identifier: Apache-2.0
"""Run a tool with a deadline that holds even against a stuck kernel."""

from collections.abc import Callable
from collections.abc import Sequence
import contextlib
import os
import queue
import signal
import subprocess
import threading
from typing import TypeVar

from oslo_log import log as logging

from cinder_tagged.ha.fence import exceptions

LOG = logging.getLogger(__name__)

T = TypeVar('T')

# Between the polite and the final signal, and before giving up on a child.
PARTING = 0.5


def run(argv: Sequence[str], deadline: float) -> str:
    """Return what the tool wrote; ToolFailed or ToolTimeout otherwise.

    A process in uninterruptible sleep cannot be reaped: after the deadline
    it is signalled and then left behind, never waited for.
    """
    text = ' '.join(argv)
    try:
        child = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, errors='replace',
            start_new_session=True, env={**os.environ, 'LC_ALL': 'C'})
    except OSError as error:
        raise exceptions.ToolFailed(text, None, str(error)) from error
    try:
        out, err = child.communicate(timeout=max(deadline, 0.1))
    except subprocess.TimeoutExpired:
        _part(child)
        raise exceptions.ToolTimeout(text, deadline) from None
    if child.returncode:
        raise exceptions.ToolFailed(
            text, child.returncode, (err or out).strip())
    LOG.debug('%s: ok', text)
    return out


def _part(child: subprocess.Popen[str]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.communicate(timeout=PARTING)
            return
    LOG.error('process %s (%s) does not die, it waits in the kernel; '
              'going on without it', child.pid, child.args)


def within(deadline: float, what: str, work: Callable[[], T]) -> T:
    """Return what a system call returns, ToolTimeout when it does not.

    A thread that waits in the kernel cannot be ended; it is left behind.
    """
    answers: queue.SimpleQueue[tuple[T | None, Exception | None]] = (
        queue.SimpleQueue())

    def call() -> None:
        try:
            answers.put((work(), None))
        except Exception as error:
            answers.put((None, error))
    threading.Thread(target=call, name=what, daemon=True).start()
    try:
        result, error = answers.get(timeout=max(deadline, 0.1))
    except queue.Empty:
        raise exceptions.ToolTimeout(what, deadline) from None
    if error:
        raise error
    return result  # type: ignore[return-value]
