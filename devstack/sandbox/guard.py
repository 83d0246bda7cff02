# SPDX-License-Identifier: Apache-2.0
"""Nothing outlives its owner: every process of a sandbox carries a mark.

The mark is an environment variable with a random value. Children inherit
it, so it also finds what no pid file knows of: workers, privsep daemons,
an epmd that went into the background. A reaper, a second process that
waits for the owner to end, kills all marked processes and removes the
directories it was told of, also when the owner got a SIGKILL.

PR_SET_PDEATHSIG is no help here: it fires when the *thread* that started
the child ends, and services are started from short-lived threads.

Run as a script this file is the reaper; it imports the standard library
only, so that it starts in a few milliseconds.
"""

from collections.abc import Iterator
import contextlib
import os
from pathlib import Path
import secrets
import select
import shutil
import signal
import subprocess
import sys
import time

MARK = 'CINDER_TAGGED_SANDBOX'
_SWEEP_DEADLINE_S = 20.0
_REAP_TURNS = 30


def marked(token: str) -> Iterator[int]:
    """Yield the pid of every live process that carries the mark."""
    needle = f'{MARK}={token}'.encode()
    for entry in os.scandir('/proc'):
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            environ = Path(entry.path, 'environ').read_bytes()
        except OSError:  # gone meanwhile, or another user's
            continue
        if needle in environ.split(b'\0'):
            yield int(entry.name)


def sweep(token: str) -> int:
    """SIGKILL all marked processes until none is left; return how many."""
    killed = set()
    deadline = time.monotonic() + _SWEEP_DEADLINE_S
    while time.monotonic() < deadline:
        pids = list(marked(token))
        if not pids:
            break
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            killed.add(pid)
        time.sleep(0.02)
    return len(killed)


class Guard:
    """Mark processes, and end them when this process ends.

    :param token: the mark of a sandbox that runs already (kept by an
        earlier process); a new one is made by default.
    :param remove: directories to remove when the owner dies early.
    """

    def __init__(self, token: str | None = None,
                 remove: tuple[Path, ...] = ()) -> None:
        self.token = token or secrets.token_hex(12)
        self._reaper: subprocess.Popen[bytes] | None = None
        self._remove = remove

    def environment(self) -> dict[str, str]:
        """Return the variables that a guarded process must carry."""
        # setproctitle would overwrite the variables with a long title.
        return {MARK: self.token, 'SPT_NOENV': '1'}

    def watch(self) -> None:
        """Start the reaper; call it before the first process starts."""
        if self._reaper is None:
            self._reaper = subprocess.Popen(
                [sys.executable, '-I', '-S', __file__, str(os.getpid()),
                 self.token, *map(str, self._remove)],
                stdin=subprocess.PIPE, start_new_session=True,
                env={'PATH': os.environ.get('PATH', '')}, cwd='/')

    def release(self) -> None:
        """Let the marked processes outlive this one from now on."""
        if self._reaper is None:
            return
        assert self._reaper.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._reaper.stdin.write(b'release\n')
            self._reaper.stdin.close()
        self._reaper.wait(timeout=_SWEEP_DEADLINE_S)
        self._reaper = None

    def close(self) -> int:
        """Kill what still carries the mark; return how many that were."""
        killed = sweep(self.token)
        self.release()
        return killed


def _wait_for_owner(owner: int) -> bool:
    """Block until the owner ends; True if it released its processes."""
    poll = select.poll()
    poll.register(0, select.POLLIN | select.POLLHUP)
    with contextlib.suppress(OSError):
        # A forked copy of the owner may hold the pipe open: watch the
        # owner itself as well.
        poll.register(os.pidfd_open(owner), select.POLLIN)
        if os.getppid() != owner:
            return False
    ready = dict(poll.poll())
    return 0 in ready and os.read(0, 64).startswith(b'release')


def _reap(argv: list[str]) -> None:
    owner, token, *directories = argv
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if _wait_for_owner(int(owner)):
        return
    for _turn in range(_REAP_TURNS):
        sweep(token)
        for directory in directories:
            shutil.rmtree(directory, ignore_errors=True)
        if not any(map(os.path.exists, directories)):
            return
        # On a machine that hardly moves, the last process may have written
        # while the directory was being removed.
        time.sleep(1)


if __name__ == '__main__':
    _reap(sys.argv[1:])
