# SPDX-License-Identifier: Apache-2.0
"""Where a volume is that this backend failed to make."""

from collections.abc import Iterable
from collections.abc import Mapping
import enum
from typing import Any

from cinder import context
from cinder import exception
from cinder import objects
from cinder.scheduler import rpcapi
from cinder.volume import volume_utils

from cinder_tagged import features


class Whereabouts(enum.Enum):
    """What became of the volume."""

    HERE = 'still on this backend, or on another that serves its pool'
    ELSEWHERE = 'on another pool'
    GONE = 'deleted'
    UNKNOWN = 'not known, or not decided yet'


def judge(volume_host: str | None, status: str, own_host: str,
          own: features.Cluster,
          pools: Iterable[Mapping[str, Any]]) -> Whereabouts:
    """Tell where a volume is from what Cinder's records say.

    Another host may serve the very same pool; then the image of the
    volume's name is the volume. So a different host is not enough: the
    schedulers must know that host's cluster and pool.

    :param volume_host: ``host@backend#pool``, or the same with the name of
        a Cinder cluster; None while it is scheduled
    :param pools: as the schedulers list them
    """
    if not volume_host or status in ('creating', 'downloading'):
        return Whereabouts.UNKNOWN
    if volume_utils.hosts_are_equivalent(volume_host, own_host):
        return Whereabouts.HERE
    for pool in pools:
        if not volume_utils.hosts_are_equivalent(str(pool['name']),
                                                 volume_host):
            continue
        feature = features.from_capabilities(pool['capabilities'])
        if feature is None or not (feature.cluster.fsid and own.fsid):
            return Whereabouts.UNKNOWN
        place = feature.cluster.fsid, feature.cluster.pool
        return (Whereabouts.HERE if place == (own.fsid, own.pool)
                else Whereabouts.ELSEWHERE)
    return Whereabouts.UNKNOWN


def look_up(volume_id: str, own_host: str,
            own: features.Cluster) -> Whereabouts:
    """Ask Cinder's database and a scheduler.

    :param own_host: of this service, or its Cinder cluster's name

    :raises Exception: whatever the database or the bus runs into
    """
    admin = context.get_admin_context()
    try:
        volume = objects.Volume.get_by_id(admin, volume_id)
    except exception.VolumeNotFound:
        return Whereabouts.GONE
    # Services of a Cinder cluster report under the cluster's name.
    host = volume.cluster_name or volume.host
    return judge(host, volume.status, own_host, own,
                 rpcapi.SchedulerAPI().get_pools(admin))
