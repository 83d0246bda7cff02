# SPDX-License-Identifier: Apache-2.0
"""Compare what the API, the database and the clusters say at the end."""

from collections import Counter
from collections.abc import Callable
import contextlib
from typing import Any

import rbd

from devstack.sandbox.process import SandboxError
from devstack.sandbox.process import wait_until

_SETTLE_S = 120


def audit(sandbox: Any,
          promised: Callable[[str], bool] = lambda resource: True
          ) -> list[str]:
    """Return every difference; nothing is under way any more.

    :param promised: tells whether what was asked of a resource was answered;
        what an API that died before it answered left in between is nobody's
        fault but counts as nothing
    """
    problems = list(_at_rest(sandbox, promised))
    cinder = sandbox.connect().block_storage
    volumes = {v.id: v for v in cinder.volumes(details=True,
                                               all_projects=True)}
    snapshots = {s.id: s for s in cinder.snapshots(details=True,
                                                   all_projects=True)}
    problems += _database(sandbox, volumes, snapshots, promised)
    # Neither in the clusters nor in the quota, both, or in between.
    begun = {i for things in (volumes, snapshots)
             for i, thing in things.items()
             if thing.status == 'creating' and not promised(i)}
    most = _usage(volumes, snapshots)
    snapshots = {i: s for i, s in snapshots.items() if i not in begun}
    least = _usage({i: v for i, v in volumes.items() if i not in begun},
                   snapshots)
    problems += _clusters(sandbox, volumes, snapshots)
    problems += _quota(sandbox, least, most)
    if 'image' in sandbox.settings.parts:
        problems += _images(sandbox)
    return problems


def _rows(sandbox: Any, statement: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in
            sandbox.database.execute(statement, database='cinder')]


def _at_rest(sandbox: Any, promised: Callable[[str], bool]) -> list[str]:
    """Wait until no work is on record."""
    def left(statement: str) -> list[tuple[Any, ...]]:
        # An API makes the worker before it sends the message.
        return [row for row in _rows(sandbox, statement)
                if row[0] != 'Volume' or promised(row[1])]
    wanted = {
        'workers': 'SELECT resource_type, resource_id, status FROM workers '
                   "WHERE resource_type != 'SENTINEL'",
        'reservations': 'SELECT resource, delta, created_at '
                        'FROM reservations WHERE NOT deleted'}
    if sandbox.settings.journal:
        wanted['journal'] = ('SELECT method, resource_id, state, owner, '
                             'attempts FROM cinder_tagged_entries')
    problems = []
    for what, statement in wanted.items():
        with contextlib.suppress(SandboxError):
            wait_until(lambda s=statement: not left(s), _SETTLE_S,
                       f'no {what} left')
        problems += [f'{what} left: {row}' for row in left(statement)]
    return problems


def _database(sandbox: Any, volumes: dict[str, Any],
              snapshots: dict[str, Any],
              promised: Callable[[str], bool]) -> list[str]:
    problems = []
    for table, shown in (('volumes', volumes), ('snapshots', snapshots)):
        kept = {row[0] for row in _rows(
            sandbox, f'SELECT id FROM {table} '
                     'WHERE NOT deleted')}
        problems += [f'{table}: {i} is shown or kept only'
                     for i in kept ^ set(shown)]
        problems += [f'{table}: {i} is {thing.status}'
                     for i, thing in shown.items()
                     if thing.status != 'available' and promised(i)]
    return problems


def _clusters(sandbox: Any, volumes: dict[str, Any],
              snapshots: dict[str, Any]) -> list[str]:
    problems: list[str] = []
    places: Counter[str] = Counter()
    for name, cluster in sandbox.clusters.items():
        with cluster.ioctx('volumes') as ioctx:
            for image in rbd.RBD().list(ioctx):
                if not image.startswith('volume-'):
                    continue  # kept copies of images, the driver's own
                places[image] += 1
                problems += _image(ioctx, name, image, volumes, snapshots)
    wanted = Counter(f'volume-{i}' for i, v in volumes.items()
                     if v.status == 'available')
    problems += [f'{image} has no image in any cluster'
                 for image in wanted - places]
    problems += [f'{image} is in {places[image]} clusters'
                 for image in places if places[image] > 1]
    return problems


def _image(ioctx: Any, cluster: str, image: str, volumes: dict[str, Any],
           snapshots: dict[str, Any]) -> list[str]:
    problems = []
    ident, _, suffix = image.removeprefix('volume-').partition('.')
    volume = volumes.get(ident)
    with rbd.Image(ioctx, image, read_only=True) as opened:
        snaps = [s['name'] for s in opened.list_snaps()]
        children = list(opened.list_children2())
        size = opened.size() // 1024 ** 3
    if suffix == 'deleted':
        if not children:
            problems.append(f'{image} in {cluster} is kept for nobody')
    elif volume is None:
        problems.append(f'{image} in {cluster} belongs to no volume')
    else:
        if cluster not in str(volume.host):
            problems.append(f'{image} is in {cluster}, not {volume.host}')
        if size != volume.size:
            problems.append(f'{image} has {size} GiB, not {volume.size}')
    for snap in snaps:
        # The RBD driver leaves the snapshot of a clone where it was when
        # the clone is deleted, faults or not.
        if (snap.startswith('snapshot-')
                and snap.removeprefix('snapshot-') not in snapshots):
            problems.append(f'{image}@{snap} belongs to no snapshot')
    wanted = {f'snapshot-{s.id}' for s in snapshots.values()
              if s.volume_id == ident}
    problems += [f'{image} lacks {snap}' for snap in wanted - set(snaps)]
    return problems


def _usage(volumes: dict[str, Any],
           snapshots: dict[str, Any]) -> Counter[tuple[str, str]]:
    """Return what each project has, by resource."""
    real: Counter[tuple[str, str]] = Counter()
    for volume in volumes.values():
        for suffix in ('', f'_{volume.volume_type}'):
            real[volume.project_id, f'volumes{suffix}'] += 1
            real[volume.project_id, f'gigabytes{suffix}'] += volume.size
    for snapshot in snapshots.values():
        volume = volumes[snapshot.volume_id]
        for suffix in ('', f'_{volume.volume_type}'):
            real[volume.project_id, f'snapshots{suffix}'] += 1
            real[volume.project_id, f'gigabytes{suffix}'] += snapshot.size
    return real


def _quota(sandbox: Any, least: Counter[tuple[str, str]],
           most: Counter[tuple[str, str]]) -> list[str]:
    """Compare each project's usage with what it has."""
    problems = []
    for project, resource, used, reserved in _rows(
            sandbox, 'SELECT project_id, resource, in_use, reserved '
                     'FROM quota_usages WHERE NOT deleted'):
        has = least[project, resource], most[project, resource]
        if not has[0] <= used <= has[1]:
            problems.append(f'quota says {used} {resource}, the project has '
                            f'{has[0]}, or {has[1]} with those begun')
        if reserved:
            problems.append(f'{reserved} {resource} stay reserved')
    return problems


def _images(sandbox: Any) -> list[str]:
    glance = sandbox.connect().image
    images = {i.id: i.status for i in glance.images()}
    kept = {name for cluster in sandbox.clusters.values()
            for name in cluster.images('images')}
    return [
        *(f'image {i} is {status}' for i, status in images.items()
          if status != 'active'),
        *(f'image {i} is kept in a cluster for nobody'
          for i in kept - set(images))]
