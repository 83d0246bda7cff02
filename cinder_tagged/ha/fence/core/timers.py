# SPDX-License-Identifier: Apache-2.0
"""The deadlines of a node, computed from its own settings.

All times are seconds after the last lease renewal that succeeded, unless a
name says otherwise.  sanlock renews every 2 x io_timeout, so a fault comes
up to that long after the last renewal: the time left counts from there.
"""

from dataclasses import dataclass
from dataclasses import replace


@dataclass(frozen=True)
class Timers:
    """Settings as read from the node; None where they cannot be read.

    ``detection``: seconds from the loss of the last path until the kernel
    reports it (iSCSI: NOP interval and timeout; Fibre Channel: fast I/O
    fail).  ``replacement``: seconds for which a lost session holds its I/O.
    """

    io_timeout: int = 10
    watchdog: int = 60
    detection: float | None = None
    replacement: float | None = None
    grace: float = 5.0
    run: float = 20.0
    kill: float = 45.0
    queueing_retries: str = ''


@dataclass(frozen=True)
class Deadlines:
    renewal: int
    warning: int
    kill_command: int
    kill_grace: int
    reset_earliest: int
    reset_latest: int
    takeover: int


@dataclass(frozen=True)
class Finding:
    """``level`` is 'ok', 'warning' or 'error'."""

    level: str
    subject: str
    message: str
    remedy: str = ''


def deadlines(timers: Timers) -> Deadlines:
    """Return when sanlock and the watchdog act."""
    failed = 8 * timers.io_timeout
    if timers.watchdog >= 60:
        kill_grace = 40
    else:
        kill_grace = 15 if timers.watchdog >= 30 else 0
    return Deadlines(
        renewal=2 * timers.io_timeout, warning=6 * timers.io_timeout,
        kill_command=failed, kill_grace=kill_grace,
        reset_earliest=failed + timers.watchdog - 10,
        reset_latest=failed + timers.watchdog - 1,
        takeover=failed + timers.watchdog)


def check(timers: Timers) -> tuple[Finding, ...]:
    """Return whether fencing ends before the watchdog fires."""
    found = [_watcher(timers), _kill(timers), _session(timers),
             _peers(timers)]
    return tuple(found)


def _watcher_done(timers: Timers) -> float:
    """Return when the watcher is done at worst."""
    return (deadlines(timers).renewal + (timers.detection or 0)
            + timers.grace + timers.run)


def shortest_io_timeout(timers: Timers) -> int | None:
    """Return the least io_timeout that leaves the watcher its time.

    Every other setting stays; None when no usual one is long enough.
    """
    return next((io for io in range(1, 61) if _watcher_done(
        replace(timers, io_timeout=io)) < deadlines(
            replace(timers, io_timeout=io)).kill_command), None)


def _watcher(timers: Timers) -> Finding:
    limits = deadlines(timers)
    worst = _watcher_done(timers)
    text = (f'at worst the watcher is done {worst:.0f} s after the last '
            f'renewal; the kill command comes at {limits.kill_command} s, '
            f'the reset from {limits.reset_earliest} s')
    if worst < limits.kill_command:
        return Finding('ok', 'watcher', text)
    if worst < limits.reset_earliest:
        return Finding(
            'warning', 'watcher', text,
            'lower [fence] grace or run_deadline, or the detection time of '
            'the transport, to be done before the kill command')
    return Finding(
        'error', 'watcher', text,
        'raise the io_timeout or the watchdog timeout of every host, or '
        'lower [fence] grace and run_deadline: this node will be reset')


def _kill(timers: Timers) -> Finding:
    """sanlock ends its calls after kill_grace and sends SIGTERM instead.

    lvmlockd ignores that as long as it has a lockspace, and has asked
    sanlock never to send SIGKILL: until the watchdog, a drop still counts.
    """
    room = timers.watchdog - 10
    text = (f'[fence] kill_deadline {timers.kill:.0f} s, the watchdog '
            f'leaves {room} s after the kill command is called')
    if timers.kill < room:
        return Finding('ok', 'kill command', text)
    return Finding(
        'error', 'kill command', text,
        f'set [fence] kill_deadline below {room} s' if room > 2 else
        'a watchdog of 10 s leaves the kill command no time: use the '
        'watcher, and a watchdog of 30 s or more')


def _session(timers: Timers) -> Finding:
    limits = deadlines(timers)
    if timers.replacement is None:
        return Finding('ok', 'transport', 'no session timeout to read')
    text = (f'a lost session holds its I/O for {timers.replacement:.0f} s; '
            f'the reset comes from {limits.reset_earliest} s')
    if limits.renewal + timers.replacement + timers.run \
            < limits.reset_earliest:
        return Finding('ok', 'transport', text)
    return Finding(
        'error', 'transport', text,
        'lower node.session.timeo.replacement_timeout (iSCSI) or '
        'fast_io_fail_tmo (Fibre Channel): held I/O delays the wipe')


def _peers(timers: Timers) -> Finding:
    limits = deadlines(timers)
    text = (f'another host can take the locks {limits.takeover} s after the '
            'last renewal; dropping locks on a node without storage cannot '
            'shorten that')
    least = shortest_io_timeout(timers)
    if least is not None and least < timers.io_timeout:
        wait = deadlines(replace(timers, io_timeout=least)).takeover
        text += (f'; an io_timeout of {least} s on every host can ({wait} '
                 's), if the SAN always answers within it')
    return Finding('ok', 'peers', text)
