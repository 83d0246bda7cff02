# SPDX-License-Identifier: Apache-2.0
"""One backend's way to its cluster: kept connections and a watch."""

from collections.abc import Callable
from collections.abc import Mapping
import json
import logging
import time
from typing import Any

from cinder import utils

from cinder_tagged.ceph import connection
from cinder_tagged.ceph import errors
from cinder_tagged.ceph import monitor as monitor_mod
from cinder_tagged.ceph import pool as pool_mod
from cinder_tagged.ceph import probe as probe_mod

LOG = logging.getLogger(__name__)

_MOUNT_S, _MON_S, _OSD_S = 10, 10, 30


def timeouts(configuration: Any, limit: int | None) -> connection.Timeouts:
    """Read the limits of a stanza.

    :param limit: one for all, as for calls to a replication target; None
        or below 1 for those of the stanza
    """
    if limit is not None and limit > 0:
        return connection.Timeouts(limit, limit, limit)
    stock = max(0, configuration.rados_connect_timeout or 0)
    return connection.Timeouts(
        configuration.rados_mount_timeout or stock or _MOUNT_S,
        configuration.rados_mon_timeout or stock or _MON_S,
        configuration.rados_osd_timeout or stock or _OSD_S)


def _place(identity: connection.Identity) -> tuple[str, str]:
    """Return what tells one cluster from another."""
    return identity.conf, identity.cluster


def mon_addresses(client: Any) -> tuple[list[str], list[str]]:
    """Return the hosts of the monitors, and the port of each.

    :raises ClusterUnreachable: the monitors did not tell
    """
    status, out, message = client.mon_command(
        '{"prefix": "mon dump", "format": "json"}', b'')
    if status:
        raise errors.ClusterUnreachable(
            f'the monitors did not tell their addresses: {message} '
            f'({status})')
    hosts, ports = [], []
    for mon in json.loads(out)['mons']:
        address, _, _nonce = mon['addr'].rpartition('/')
        host, _, port = address.rpartition(':')
        hosts.append(host.strip('[]'))
        ports.append(port)
    return hosts, ports


class ClusterAccess:
    """Connects on demand and knows whether the cluster is there.

    :param target: gives the cluster in use at the moment, as the RBD driver
        describes it (``conf``, ``name``, ``user``): after a fail-over it is
        another one
    :param changed: see :class:`cinder_tagged.ceph.monitor.Monitor`
    :param tick: the same; called after every probe
    """

    def __init__(self, configuration: Any, host: str,
                 target: Callable[[], Mapping[str, Any]],
                 changed: monitor_mod.Changed,
                 tick: Callable[[], object] = lambda: None) -> None:
        self._configuration = configuration
        self._target = target
        #: Called before a request is refused because the cluster is away:
        #: may wait for it to be known whether it is away for others, too.
        self.hold: Callable[[], object] = lambda: None
        self._away_at: float | None = None
        self._sound_at: float | None = None
        self._fsids: dict[tuple[str, str], str] = {}
        self._tell = changed
        self._housekeeping = tick
        self.pool = pool_mod.ConnectionPool(
            configuration.rados_connection_limit,
            check_after_s=configuration.rados_connection_check_after,
            idle_s=configuration.rados_connection_idle,
            native=utils.tpool_wrap)
        deadline = configuration.cluster_probe_deadline
        self._prober = probe_mod.Prober(
            lambda: self.identity(target(), deadline),
            configuration.rbd_pool, host, deadline)
        interval = configuration.cluster_probe_interval
        self.monitor = monitor_mod.Monitor(
            utils.tpool_wrap(self._prober).probe,
            interval_s=interval, stale_s=3 * (interval + 2 * deadline),
            changed=self._changed, tick=self._tick, name=host)

    def identity(self, target: Mapping[str, Any],
                 limit: int | None = None) -> connection.Identity:
        """Return whom to connect to, and with which limits."""
        return connection.Identity(
            target.get('conf') or '', target.get('name') or 'ceph',
            target.get('user') or None,
            timeouts(self._configuration, limit))

    # -- the watch ----------------------------------------------------------

    def begin(self) -> probe_mod.Sample:
        """Probe once, then watch from now on."""
        self.monitor.stop()
        sample = self.monitor.check()
        self.monitor.start()
        return sample

    def close(self) -> None:
        """Watch no more and close every connection that is not in use."""
        self.monitor.stop(2 * self._configuration.cluster_probe_deadline + 1)
        self.pool.close()
        self._prober.close()

    def _changed(self, before: probe_mod.Sample | None,
                 after: probe_mod.Sample) -> None:
        if before is not None:
            self.pool.distrust()
        self._tell(before, after)

    def _tick(self) -> None:
        self.pool.reap()
        self._housekeeping()

    def seen(self) -> tuple[float | None, float | None]:
        """Tell since when the cluster is away, and when it last answered."""
        sample = self.monitor.latest
        if sample is not None:
            when = time.time() - (time.monotonic() - sample.taken)
            if sample.up:
                self._away_at, self._sound_at = None, when
            elif self._away_at is None:
                self._away_at = when
        return self._away_at, self._sound_at

    def fsid(self) -> str:
        """Return the cluster's fsid; '' if nothing tells it.

        The cluster's own word counts. Before it first spoke, the one in
        ceph.conf does.
        """
        identity = self.identity(self._target())
        sample = self.monitor.latest
        if sample is not None and sample.fsid and sample.identity:
            self._fsids[_place(sample.identity)] = sample.fsid
        try:
            return (self._fsids.get(_place(identity))
                    or connection.configured_fsid(identity))
        except errors.CephError:
            return ''

    # -- connections --------------------------------------------------------

    def connect(self, pool: str | None = None,
                target: Mapping[str, Any] | None = None,
                limit: int | None = None) -> tuple[Any, Any]:
        """Return a client and an I/O context; give them back after use.

        A cluster that did not answer the watch is not tried: the caller
        learns at once what it would otherwise learn a timeout later.

        :raises ClusterUnreachable: no answer in time, or none to the watch
        :raises ClusterRefused: the cluster, or a local file, says no
        """
        identity = self.identity(target or self._target(), limit)
        pool = pool or self._configuration.rbd_pool
        attempts = max(1, self._configuration.rados_connection_retries)
        for attempt in range(1, attempts + 1):
            fault = self._fault(identity)
            if fault:
                self.hold()
                fault = self._fault(identity)
            if fault:
                raise errors.ClusterUnreachable(f'{identity}: {fault}')
            try:
                return self.pool.acquire(identity, pool)
            except errors.ClusterUnreachable as exc:
                if attempt == attempts:
                    raise errors.ClusterUnreachable(
                        f'{identity}: {exc}') from exc
                LOG.warning('Attempt %(attempt)d of %(attempts)d to reach '
                            '%(who)s: %(exc)s',
                            {'attempt': attempt, 'attempts': attempts,
                             'who': identity, 'exc': exc})
            time.sleep(self._configuration.rados_connection_interval)
        raise AssertionError('not reached')

    def _fault(self, identity: connection.Identity) -> str:
        """Say what the watch has against this cluster, if it is watched."""
        sample = self.monitor.latest
        if (sample is None or sample.identity is None
                or _place(sample.identity) != _place(identity)):
            return ''
        return self.monitor.fault()

    def disconnect(self, client: Any, ioctx: Any,
                   error: BaseException | None) -> None:
        """Give back what :meth:`connect` returned.

        :param error: what was raised while it was in use, if anything
        """
        self.pool.release(client, ioctx, broken=errors.is_lost(error))
