# SPDX-License-Identifier: Apache-2.0
"""lvmlockd through lvmlockctl: its socket only, no storage."""

from cinder_tagged.ha.fence import exceptions
from cinder_tagged.ha.fence.adapters import command
from cinder_tagged.ha.fence.core.facts import Lockspaces


def lockspaces(deadline: float) -> Lockspaces:
    """Return the lockspaces; ``up`` False when lvmlockd does not answer."""
    try:
        return parse(command.run(['lvmlockctl', '--info'], deadline))
    except exceptions.ToolTimeout:
        raise
    except exceptions.ToolFailed:
        return Lockspaces(up=False)


def drop(vg: str, deadline: float) -> None:
    command.run(['lvmlockctl', '--drop', vg], deadline)


def parse(report: str) -> Lockspaces:
    """Read "VG name ...", "LS type name" and "LK LV mode uuid" lines."""
    locks: dict[str, dict[str, str]] = {}
    vg = ''
    shared = False
    for line in report.splitlines():
        words = line.split()
        if len(words) >= 3 and words[0] == 'VG':
            vg, shared = words[1], 'lock_type=sanlock' in words
            if shared:
                locks[vg] = {}
        elif shared and len(words) == 4 and words[:2] == ['LK', 'LV']:
            mode, uuid = words[2:]
            if mode != 'un':
                locks[vg][uuid] = mode
    return Lockspaces(up=True, locks=locks)
