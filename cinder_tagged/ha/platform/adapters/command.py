# SPDX-License-Identifier: Apache-2.0
"""Running a tool: with a deadline, and broken off when told."""

from collections.abc import Sequence
import contextlib
import os
import signal
import subprocess
import threading
import time

from cinder_tagged.ha.platform import exceptions

#: Seconds between two looks at the event that breaks a tool off.
_LOOK = 0.05


def run(argv: Sequence[str], deadline: float,
        cancel: threading.Event | None = None,
        ok: Sequence[int] = (0,), both: bool = False) -> tuple[int, str]:
    """Run a tool; return exit status and standard output.

    :param deadline: seconds
    :param cancel: set to break it off
    :param both: return what it wrote to standard error as well
    :raises ToolError: it failed, or did not end in time
    :raises Cancelled: it was broken off
    """
    if cancel is not None and cancel.is_set():
        raise exceptions.Cancelled(f'{argv[0]} was not begun')
    try:
        child = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, start_new_session=True)
    except OSError as exc:
        raise exceptions.ToolError(f'{argv[0]}: {exc.strerror}') from exc
    end = time.monotonic() + deadline
    while True:
        try:
            out, err = child.communicate(timeout=_LOOK)
            break
        except subprocess.TimeoutExpired:
            cancelled = cancel is not None and cancel.is_set()
            if not cancelled and time.monotonic() < end:
                continue
        _kill(child)
        if cancelled:
            raise exceptions.Cancelled(f'{argv[0]} was broken off')
        raise exceptions.ToolError(
            f'{argv[0]} did not end within {deadline:g} s')
    if child.returncode not in ok:
        words = (err or out).decode(errors='replace').strip()[-300:]
        raise exceptions.ToolError(
            f'{os.path.basename(argv[0])}: exit {child.returncode}: {words}',
            child.returncode)
    return child.returncode, (out + err if both else out).decode(
        errors='replace')


def _kill(child: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    # One in an uninterruptible wait ends when its device does.
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.communicate(timeout=1)
