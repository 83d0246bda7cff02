# SPDX-License-Identifier: Apache-2.0
"""The operations that are journalled, and how each is done again."""

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True)
class Operation:
    """One kind of request.

    :param method: name of the RPC method that the API casts
    :param resource: ``volume`` or ``snapshot``: what the request is about,
        and the name of the argument that holds it
    :param in_flight: statuses of the resource while the work goes on
    :param restart: status to put it back to before the work is done again
    :param by_scheduler: the first cast goes to the scheduler
    :param leaves: what a dead worker may leave on the cluster, to remove
        before the work is done again: ``image``, ``snapshot`` or nothing
    """

    method: str
    resource: str
    in_flight: frozenset[str]
    restart: str
    by_scheduler: bool = False
    leaves: str = ''


OPERATIONS: dict[str, Operation] = {op.method: op for op in (
    Operation('create_volume', 'volume',
              frozenset(('creating', 'downloading')), 'creating',
              by_scheduler=True, leaves='image'),
    Operation('delete_volume', 'volume', frozenset(('deleting',)),
              'deleting'),
    Operation('create_snapshot', 'snapshot', frozenset(('creating',)),
              'creating', by_scheduler=True, leaves='snapshot'),
    Operation('delete_snapshot', 'snapshot', frozenset(('deleting',)),
              'deleting'),
    Operation('extend_volume', 'volume', frozenset(('extending',)),
              'extending', by_scheduler=True),
    Operation('copy_volume_to_image', 'volume', frozenset(('uploading',)),
              'uploading'),
    Operation('retype', 'volume', frozenset(('retyping',)), 'retyping',
              by_scheduler=True),
)}
