# SPDX-License-Identifier: Apache-2.0
"""Timers and settings of the node, read for "check"."""

from collections.abc import Iterable
import pathlib
import re
import shutil

from cinder_tagged.ha.fence import exceptions
from cinder_tagged.ha.fence.adapters import lvm
from cinder_tagged.ha.fence.core.facts import Facts
from cinder_tagged.ha.fence.core.timers import Finding
from cinder_tagged.ha.fence.core.timers import Timers

COMMAND = 'cinder-tagged-fence'


def timers(facts: Facts, grace: float, run: float, kill: float,
           root: str = '/') -> Timers:
    """Read the node's timers; the worst where several devices differ."""
    io_timeouts = [x.io_timeout for x in facts.leases.leases.values()]
    sys = pathlib.Path(root, 'sys/class')
    return Timers(
        io_timeout=min(io_timeouts, default=10),
        watchdog=_sanlock_conf(root, 'watchdog_fire_timeout', 60),
        detection=_detection(sys), replacement=_replacement(sys),
        grace=grace, run=run, kill=kill)


def findings(facts: Facts, deadline: float, root: str = '/',
             ) -> tuple[Finding, ...]:
    """Return what the tools' configuration lacks."""
    found = [_kill_command(deadline), _watchdog(root)]
    for tool in ('dmsetup', 'lsblk', 'lvmlockctl', 'sanlock'):
        if not shutil.which(tool):
            found.append(Finding(
                'error', tool, 'not found in PATH', f'install {tool}'))
    if not facts.lockspaces.up:
        found.append(Finding(
            'error', 'lvmlockd', 'does not answer',
            'start lvmlockd; without it locks cannot be dropped'))
    if not facts.leases.up:
        found.append(Finding(
            'error', 'sanlock', 'does not answer', 'start sanlock'))
    queue = [d.name for d in facts.devices if d.queueing]
    if queue and not shutil.which('multipathd'):
        found.append(Finding(
            'warning', 'multipath', f'{", ".join(queue)} queue, but there '
            'is no multipathd in PATH', 'install multipath-tools'))
    return tuple(found)


def _kill_command(deadline: float) -> Finding:
    key = 'global/lvmlockctl_kill_command'
    try:
        value = lvm.config(key, deadline)
    except exceptions.FenceError as error:
        return Finding('error', 'lvm.conf', f'{key} cannot be read: {error}',
                       'install lvm2')
    if COMMAND in value:
        return Finding('ok', 'lvm.conf', f'{key} = {value}')
    path = shutil.which(COMMAND) or f'/usr/bin/{COMMAND}'
    return Finding(
        'error', 'lvm.conf', f'{key} is {value or "not set"}',
        f'set lvmlockctl_kill_command = "{path} kill" in section global')


def _watchdog(root: str) -> Finding:
    devices = sorted(pathlib.Path(root, 'sys/class/watchdog').glob('*'))
    if not devices:
        return Finding(
            'warning', 'watchdog', 'no watchdog device',
            'load the driver of the board, or softdog: without one sanlock '
            'cannot keep a frozen node from writing')
    identity = _text(devices[0] / 'identity').strip() or devices[0].name
    return Finding('ok', 'watchdog', identity)


def _sanlock_conf(root: str, key: str, default: int) -> int:
    text = _text(pathlib.Path(root, 'etc/sanlock/sanlock.conf'))
    match = re.search(rf'^\s*{key}\s*=\s*(\d+)', text, re.MULTILINE)
    return int(match.group(1)) if match else default


def _detection(sys: pathlib.Path) -> float | None:
    """iSCSI: silence for recv_tmo, then a NOP unanswered for ping_tmo."""
    nops = [a + b for a, b in zip(
        _numbers(sys, 'iscsi_connection/*/recv_tmo'),
        _numbers(sys, 'iscsi_connection/*/ping_tmo'), strict=False)]
    return max([*nops, *_numbers(sys, 'fc_remote_ports/*/fast_io_fail_tmo')],
               default=None)


def _replacement(sys: pathlib.Path) -> float | None:
    return max([*_numbers(sys, 'iscsi_session/*/recovery_tmo'),
                *_numbers(sys, 'fc_remote_ports/*/fast_io_fail_tmo')],
               default=None)


def _numbers(sys: pathlib.Path, pattern: str) -> Iterable[float]:
    values = [_text(path).strip() for path in sorted(sys.glob(pattern))]
    return [float(value) for value in values if value.isdigit()]


def _text(path: pathlib.Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ''
