# SPDX-License-Identifier: Apache-2.0
"""sanlock's own word on its leases."""

from cinder_tagged.ha.fence import exceptions
from cinder_tagged.ha.fence.adapters import command
from cinder_tagged.ha.fence.core.facts import Leases
from cinder_tagged.ha.fence.core.model import Lease

_PREFIX = 'lvm_'


def leases(now: float, deadline: float) -> Leases:
    """Return the host leases; ``now`` is CLOCK_MONOTONIC in seconds.

    ``up`` is False when the daemon does not answer.
    """
    try:
        report = command.run(
            ['sanlock', 'client', 'status', '-D'], deadline)
    except exceptions.ToolTimeout:
        raise
    except exceptions.ToolFailed:
        return Leases(up=False)
    return parse(report, now)


def parse(report: str, now: float) -> Leases:
    """Read "s lockspace:host:path:offset" and the pairs beneath it."""
    found: dict[str, Lease] = {}
    name = ''
    pairs: dict[str, str] = {}
    for line in [*report.splitlines(), 'end']:
        if line.startswith(' '):
            key, equals, value = line.strip().partition('=')
            if equals:
                pairs[key] = value
            continue
        if name:
            found[name] = _lease(pairs, now)
        words = line.split()
        name = ''
        pairs = {}
        if len(words) > 1 and words[0] == 's':
            lockspace = words[1].split(':')[0]
            if lockspace.startswith(_PREFIX):
                name = lockspace.removeprefix(_PREFIX)
    return Leases(up=True, leases=found)


def _lease(pairs: dict[str, str], now: float) -> Lease:
    try:
        last = int(pairs.get('renewal_last_success') or 0)
        return Lease(
            io_timeout=int(pairs.get('io_timeout') or 10),
            age=max(0.0, now - last) if last else 0.0,
            recovering=pairs.get('space_dead', '0') != '0'
            or pairs.get('killing_pids', '0') != '0')
    except ValueError as error:
        raise exceptions.Unreadable(f'sanlock status: {error}') from error
