# SPDX-License-Identifier: Apache-2.0
"""What an operator reads."""

from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from cinder_tagged.ha.fence.core.assess import assess
from cinder_tagged.ha.fence.core.model import FenceRecord
from cinder_tagged.ha.fence.core.model import Order
from cinder_tagged.ha.fence.core.model import VgView
from cinder_tagged.ha.fence.core.timers import deadlines
from cinder_tagged.ha.fence.core.timers import Finding
from cinder_tagged.ha.fence.core.timers import Timers
from cinder_tagged.ha.fence.fencer import Report


def plan(order: Order, steps: Sequence[str]) -> str:
    head = (f'{order.vg}: {order.reason}; scope {order.scope.value}. '
            'Nothing is changed, a run would:')
    return '\n'.join([head, *(f'  {n}. {step}' for n, step
                              in enumerate(steps, 1))])


def report(done: Report) -> str:
    lines = [f'  +{at:6.2f} s  {step}' + (f'  [{said}]' if said else '')
             for at, step, said in done.steps]
    return '\n'.join(
        [f'{done.vg}: {done.outcome} in {done.seconds:.1f} s', *lines])


def summary(view: VgView, record: FenceRecord | None) -> dict[str, Any]:
    """Return one group as plain data."""
    return {
        'vg': view.vg, 'verdict': assess(view).reason,
        'fenced': bool(record and record.finished),
        'fencing': bool(record and not record.finished),
        'volumes': {v.name: 'error' if v.isolated else ' '.join(v.targets)
                    for v in view.volumes},
        'maps': {m.name: {'paths': {p.device: p.active for p in m.paths},
                          'queueing': m.queueing} for m in view.maps},
        'disks': {d.name: d.alive for d in view.disks},
        'locks': None if view.locks is None else dict(view.locks),
        'lease_age': view.lease.age if view.lease else None}


def status(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return 'no shared volume group on this node'
    return '\n'.join(_group(row) for row in rows)


def _group(row: Mapping[str, Any]) -> str:
    state = ('fenced' if row['fenced']
             else 'fencing under way' if row['fencing'] else 'in use')
    age = row['lease_age']
    lines = [
        f'{row["vg"]}: {state}; {row["verdict"]}',
        '  locks: ' + ('none' if row['locks'] is None
                       else f'{len(row["locks"])} on volumes')
        + (f', lease renewed {age:.0f} s ago' if age is not None else '')]
    for name, each in row['maps'].items():
        alive = sum(each['paths'].values())
        lines.append(f'  {name}: {alive} of {len(each["paths"])} paths'
                     + (', queueing' if each['queueing'] else ''))
    lines += [f'  {name}: {"alive" if alive else "lost"}'
              for name, alive in row['disks'].items()]
    lines += [f'  {name}: {kind}' for name, kind in row['volumes'].items()]
    return '\n'.join(lines)


def check(read: Timers, found: Iterable[Finding]) -> str:
    limits = deadlines(read)
    lines = [
        'seconds after the last lease renewal that succeeded',
        f'(io_timeout {read.io_timeout}, watchdog {read.watchdog}):',
        f'  {limits.renewal:5d}  next renewal due',
        f'  {limits.warning:5d}  sanlock warns',
        f'  {limits.kill_command:5d}  sanlock gives up, kill command runs',
        f'  {limits.kill_command + limits.kill_grace:5d}  sanlock asks '
        'lvmlockd to end, in vain while it has locks',
        f'  {limits.reset_earliest:5d}  the watchdog may reset this node',
        f'  {limits.takeover:5d}  another node may take the locks', '']
    for finding in found:
        lines.append(f'{finding.level.upper():8}{finding.subject}: '
                     f'{finding.message}')
        if finding.remedy:
            lines.append(f'        {finding.remedy}')
    return '\n'.join(lines)
