# SPDX-License-Identifier: Apache-2.0
"""Processes known by pid, start time and boot, so that no other is hit."""

import contextlib
import os
import signal
import time


def began(pid: int) -> str:
    """Start time of a live process, '' if there is none."""
    try:
        with open(f'/proc/{pid}/stat') as source:
            fields = source.read().rpartition(')')[2].split()
    except OSError:
        return ''
    if fields[0] in 'ZX':
        return ''
    with open('/proc/sys/kernel/random/boot_id') as source:
        return f'{fields[19]} {source.read().strip()}'


def alive(pid: int, start: str) -> bool:
    return bool(pid) and began(pid) == start != ''


def strike(pid: int, start: str) -> bool:
    """SIGKILL it, and wait for nothing; return whether it lived."""
    lives = alive(pid, start)
    if lives:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return lives


def kill(pid: int, start: str, deadline: float) -> bool:
    """SIGKILL it and wait; return whether it has gone."""
    end = time.monotonic() + deadline
    while strike(pid, start):
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True
