# SPDX-License-Identifier: Apache-2.0
"""Connects to clusters and tries what the services will do there."""

from collections.abc import Sequence
from concurrent import futures
import contextlib
from typing import Any
import uuid

import rados
import rbd

from cinder_tagged.ceph import connection
from cinder_tagged.ceph import errors
from cinder_tagged.check import model

_PROBE = 'cinder_tagged.check.'
_SIZE = 2 ** 20
_CAPS = ("ceph auth caps {entity} mon 'profile rbd' mgr 'profile rbd' osd "
         "'profile rbd pool={pool}', beside what it may do elsewhere")
_AWAY = ('look whether the monitors run and this host reaches them '
         '(ports 3300 and 6789)')


def reach(tasks: Sequence[tuple[model.Login, str]],
          deadline: int) -> tuple[model.Reached, ...]:
    """Try all clusters at once.

    :param tasks: who is to use which pool
    :param deadline: seconds for each call to a cluster
    """
    with futures.ThreadPoolExecutor(max(1, min(16, len(tasks)))) as pool:
        return tuple(pool.map(
            lambda task: _reach(task[0], task[1], deadline), tasks))


def _reach(login: model.Login, pool: str, deadline: int) -> model.Reached:
    identity = connection.Identity(
        login.conf, login.cluster, login.user or None,
        connection.Timeouts(deadline, deadline, deadline))
    try:
        client = connection.open_client(identity)
    except errors.ClusterRefused as exc:
        return model.Reached(login, pool, 'connect',
                             f'{exc.value} is refused', exc.remedy)
    except errors.ClusterUnreachable as exc:
        return model.Reached(login, pool, 'connect', str(exc), _AWAY)
    try:
        return _use(client, login, pool)
    finally:
        client.shutdown()


def _use(client: Any, login: model.Login, pool: str) -> model.Reached:
    step, fsid = 'pool', ''
    try:
        fsid = str(client.get_fsid())
        with contextlib.closing(connection.open_ioctx(client, pool)) as ioctx:
            step = 'list'
            rbd.RBD().list(ioctx)
            step = 'write'
            _probe(ioctx)
    except errors.ClusterRefused as exc:
        return model.Reached(login, pool, step,
                             f'no pool {pool} on the cluster', exc.remedy,
                             fsid)
    except (rados.Error, rbd.Error, errors.CephError) as exc:
        doing = {'pool': 'open', 'list': 'list the images of',
                 'write': 'create and remove an image in'}[step]
        return model.Reached(
            login, pool, step,
            f'{login.entity} cannot {doing} pool {pool}: {exc}',
            _CAPS.format(entity=login.entity, pool=pool), fsid)
    return model.Reached(login, pool, step, fsid=fsid)


def _probe(ioctx: Any) -> None:
    name = f'{_PROBE}{uuid.uuid4().hex}'
    images = rbd.RBD()
    try:
        images.create(ioctx, name, _SIZE, old_format=False)
    finally:
        # Also what was given up may have come about.
        with contextlib.suppress(rbd.ImageNotFound):
            images.remove(ioctx, name)
