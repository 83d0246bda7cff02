# SPDX-License-Identifier: Apache-2.0
"""A real Ceph cluster of one monitor, one manager and one OSD.

    with CephCluster(directory, name='ceph-a') as cluster:
        with cluster.ioctx('volumes') as ioctx: ...
        cluster.osd.pause()

Several of them start side by side in about as much time as one.
"""

import base64
from collections.abc import Iterable
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
import contextlib
import json
import os
from pathlib import Path
import shutil
import struct
import tempfile
import time
from types import TracebackType
from typing import Any
import uuid

import rados
import rbd

from devstack.sandbox.guard import Guard
from devstack.sandbox.process import free_port
from devstack.sandbox.process import run
from devstack.sandbox.process import SandboxError
from devstack.sandbox.process import Service
from devstack.sandbox.process import wait_until

GiB = 1024 ** 3
POOLS = ('volumes', 'images')
#: placement groups of a pool
PGS = 8
DAEMONS = ('mon', 'mgr', 'osd')

# Every daemon and client of the cluster reads this one file.
# * Device closing waits for one poll of the aio thread: 10 ms, not 250.
# * The heartbeat, read lease and tick settings shorten what a client
#   sees of an OSD's restart from half a minute to a few seconds.
# * The monitor commits a change after 0.1 s instead of gathering more for
#   a second: making a pool takes several changes in a row.
# * An OSD that was marked down five times in ten minutes shuts itself down;
#   tests do that more often.  And one without peers to tell it asks the
#   monitor for a newer map every half a minute, unless it is to ask sooner.
# * A manager without modules needs 29 MB and is up at once.
_CONF = """\
[global]
fsid = {fsid}
mon_host = [v2:{address}:{port}/0]
mon_initial_members = a
ms_bind_msgr1 = false
ms_bind_ipv6 = false
public_addr = {address}
cluster_addr = {address}
auth_cluster_required = cephx
auth_service_required = cephx
auth_client_required = cephx
auth_allow_insecure_global_id_reclaim = false
admin_socket =
run_dir = {directory}
log_file =
log_to_stderr = false
err_to_stderr = true
mon_cluster_log_file =
objecter_tick_interval = 1
objecter_timeout = 2
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_autoscale_mode = off
osd_pool_default_read_lease_ratio = 0.2
osd_heartbeat_grace = 5
rbd_default_clone_format = 2

[client.admin]
keyring = {directory}/client.admin.keyring
[client.cinder]
keyring = {directory}/client.cinder.keyring
[client.glance]
keyring = {directory}/client.glance.keyring

[mon]
mon_data = {directory}/mon
paxos_propose_interval = 0.1
paxos_min_wait = 0.01
mon_tick_interval = 1
mon_allow_pool_size_one = true
mon_allow_pool_delete = true
mon_warn_on_pool_no_redundancy = false
mon_data_avail_warn = 1
mon_data_avail_crit = 0
osd_crush_chooseleaf_type = 0
[mgr]
mgr_data = {directory}/mgr
mgr_module_path = {directory}/no-modules
mgr_stats_period = 2
[osd]
osd_data = {directory}/osd
osd_objectstore = bluestore
osd_heartbeat_interval = 1
osd_op_num_shards = 2
osd_class_update_on_start = false
osd_max_markdown_count = 1000000
osd_mon_heartbeat_interval = 1
bluestore_block_size = {size}
bluestore_block_create = true
bluestore_fsck_on_mkfs = false
bluestore_cache_autotune = false
bluestore_cache_size = 67108864
bdev_aio_poll_ms = 10
"""

# What each client may do; the mon profile lets it fence dead peers, too.
_CAPS = {
    'mon.': {'mon': 'allow *'},
    'client.admin': {'mon': 'allow *', 'mgr': 'allow *', 'osd': 'allow *'},
    'mgr.x': {'mon': 'allow profile mgr', 'osd': 'allow *'},
    'osd.0': {'mon': 'allow profile osd', 'mgr': 'allow profile osd',
              'osd': 'allow *'},
    'client.cinder': {
        'mon': 'profile rbd', 'mgr': 'profile rbd',
        'osd': 'profile rbd pool=volumes, '
               'profile rbd-read-only pool=images'},
    'client.glance': {
        'mon': 'profile rbd', 'mgr': 'profile rbd pool=images',
        'osd': 'profile rbd pool=images'},
}
CLIENTS = ('client.admin', 'client.cinder', 'client.glance')


def _secret() -> str:
    now = time.time_ns()
    header = struct.pack('<HIIH', 1, now // 10 ** 9, now % 10 ** 9, 16)
    return base64.b64encode(header + os.urandom(16)).decode()


def _keyring(keys: dict[str, str], caps: bool) -> str:
    lines = []
    for entity, key in keys.items():
        lines += [f'[{entity}]', f'key = {key}']
        if caps:
            lines += [f'caps {service} = "{cap}"'
                      for service, cap in _CAPS[entity].items()]
    return '\n'.join(lines) + '\n'


class CephCluster:
    """One cluster in one directory, on one address.

    :param directory: made if missing; a temporary one by default, which
        goes when the cluster stops.
    :param name: what people call the cluster.
    :param size_gib: capacity; the file behind it is sparse.
    :param pools: names of the RBD pools to make.
    :param address: where its daemons listen; of another network namespace if
        the caller's thread is in that one when it starts the cluster.
    :param guard: of the sandbox it belongs to; its own by default, with
        which it dies when this process does.
    """

    def __init__(self, directory: Path | str | None = None,
                 name: str = 'ceph', *, size_gib: int = 64,
                 pools: Iterable[str] = POOLS,
                 address: str = '127.0.0.1',
                 guard: Guard | None = None) -> None:
        self._temporary = directory is None
        self.directory = Path(
            directory or tempfile.mkdtemp(prefix='cinder-tagged-ceph-')
        ).resolve()
        self.name = name
        self.size_gib = size_gib
        self.pools = tuple(pools)
        self.address = address
        #: The identity of the cluster, known before it is made.
        self.fsid = self._read_fsid() or str(uuid.uuid4())
        self._own_guard = guard is None
        self.guard = guard or Guard(
            remove=(self.directory,) if self._temporary else ())
        self.conf = self.directory / 'ceph.conf'
        self.mon = self._service('mon', 'a')
        self.mgr = self._service('mgr', 'x')
        self.osd = self._service('osd', '0')

    def _service(self, kind: str, ident: str) -> Service:
        return Service(
            f'ceph-{kind}', self.directory,
            [f'ceph-{kind}', '-f', '-i', ident, '-c', self.conf],
            self.guard)

    def _read_fsid(self) -> str | None:
        with contextlib.suppress(OSError):
            return (self.directory / 'fsid').read_text().strip()
        return None

    # -- life ---------------------------------------------------------------

    @property
    def made(self) -> bool:
        """Whether the directory holds a complete cluster."""
        return (self.directory / 'made').exists()

    def start(self, deadline: float = 120) -> None:
        """Make the cluster if there is none, start it, wait for health.

        :param deadline: seconds for each of the steps.
        :raises SandboxError: a daemon ended or did not get ready.
        """
        if self._own_guard:
            self.guard.watch()
        fresh = not self.made
        if fresh:
            self._make()
        self.mon.start()
        self.mgr.start()
        if fresh:
            self._register_osd()
        self.osd.start()
        with self.connect(timeout=deadline) as client:
            self.osd.wait_ready(lambda: self._osd_up(client), deadline)
            if fresh:
                self._make_pools(client)
            self.mgr.wait_ready(lambda: self._healthy(client), deadline)
        (self.directory / 'made').touch()

    def stop(self) -> None:
        """Stop the daemons; remove the directory if it was temporary."""
        for service in (self.osd, self.mgr, self.mon):
            service.kill()
        if self._own_guard:
            self.guard.close()
        if self._temporary:
            shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> 'CephCluster':
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None,
                 value: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.stop()

    def _make(self) -> None:
        """Write configuration and keys, format the stores of mon and OSD."""
        self.directory.mkdir(parents=True, exist_ok=True)
        for part in ('mon', 'osd', 'mgr'):
            shutil.rmtree(self.directory / part, ignore_errors=True)
            (self.directory / part).mkdir()
        (self.directory / 'no-modules').mkdir(exist_ok=True)
        fsid, port = self.fsid, free_port()
        (self.directory / 'fsid').write_text(f'{fsid}\n')
        self.conf.write_text(_CONF.format(
            fsid=fsid, port=port, address=self.address,
            directory=self.directory, size=self.size_gib * GiB))
        keys = self._write_keys()
        monmap = self.directory / 'monmap'
        run(['monmaptool', '--create', '--clobber', '--fsid', fsid,
             '--addv', 'a', f'[v2:{self.address}:{port}/0]', monmap])
        osd_uuid = str(uuid.uuid4())
        (self.directory / 'osd-uuid').write_text(osd_uuid)
        with ThreadPoolExecutor(2) as pool:
            jobs = [
                pool.submit(run, [
                    'ceph-mon', '--mkfs', '-i', 'a', '-c', self.conf,
                    '--monmap', monmap, '--keyring', keys]),
                pool.submit(run, [
                    'ceph-osd', '--mkfs', '--no-mon-config', '-i', '0',
                    '-c', self.conf, '--osd-uuid', osd_uuid]),
            ]
            for job in jobs:
                job.result()

    def _write_keys(self) -> Path:
        keys = {entity: _secret() for entity in _CAPS}
        files = {f'{entity}.keyring': {entity: keys[entity]}
                 for entity in CLIENTS}
        files['mgr/keyring'] = {'mgr.x': keys['mgr.x']}
        files['osd/keyring'] = {'osd.0': keys['osd.0']}
        for name, content in files.items():
            self._private(name, _keyring(content, caps=False))
        return self._private('all.keyring', _keyring(keys, caps=True))

    def _private(self, name: str, content: str) -> Path:
        path = self.directory / name
        path.touch(mode=0o600)
        path.write_text(content)
        return path

    def _register_osd(self) -> None:
        with self.connect(timeout=120) as client:
            osd_uuid = (self.directory / 'osd-uuid').read_text()
            self.command(client, 'osd new', uuid=osd_uuid, id=0)

    def _make_pools(self, client: rados.Rados) -> None:
        for pool in self.pools:
            self.command(client, 'osd pool create', pool=pool, pg_num=PGS,
                         pgp_num=PGS)
        for pool in self.pools:
            with contextlib.closing(client.open_ioctx(pool)) as ioctx:
                rbd.RBD().pool_init(ioctx, True)

    def _osd_up(self, client: rados.Rados) -> bool:
        state = self.command(client, 'osd stat')
        return bool(state['num_up_osds'])

    def _healthy(self, client: rados.Rados) -> bool:
        self.command(client, 'health mute', code='MGR_MODULE_ERROR',
                     sticky=True)
        pools = self.command(client, 'df')['pools']
        return (self.health(client) == 'HEALTH_OK'
                and {pool['name'] for pool in pools} >= set(self.pools))

    # -- use ----------------------------------------------------------------

    @contextlib.contextmanager
    def connect(self, user: str = 'admin',
                timeout: float = 20) -> Iterator[rados.Rados]:
        """Give a connection on which no call takes longer than timeout."""
        limit = str(max(1, int(timeout)))
        client = rados.Rados(
            rados_id=user, conffile=str(self.conf),
            conf={'client_mount_timeout': limit,
                  'rados_mon_op_timeout': limit,
                  'rados_osd_op_timeout': limit})
        try:
            client.connect()
            yield client
        finally:
            client.shutdown()

    @contextlib.contextmanager
    def ioctx(self, pool: str, user: str = 'admin',
              timeout: float = 20) -> Iterator[rados.Ioctx]:
        """Give an I/O context of a pool, on a connection of its own."""
        with self.connect(user, timeout) as client, \
                contextlib.closing(client.open_ioctx(pool)) as ioctx:
            yield ioctx

    def images(self, pool: str = 'volumes') -> list[str]:
        """Return the names of the RBD images in a pool."""
        with self.ioctx(pool) as ioctx:
            return sorted(rbd.RBD().list(ioctx))

    @staticmethod
    def command(client: rados.Rados, prefix: str, **arguments: Any) -> Any:
        """Send a command to the monitor and return its parsed answer.

        :raises SandboxError: the monitor refused or did not answer.
        """
        status, out, message = client.mon_command(json.dumps(
            {'prefix': prefix, 'format': 'json', **arguments}), b'')
        if status:
            raise SandboxError(f'ceph {prefix}: {message} ({status})')
        return json.loads(out) if out.strip() else None

    def health(self, client: rados.Rados | None = None) -> str:
        """Return HEALTH_OK, HEALTH_WARN or HEALTH_ERR."""
        if client is None:
            with self.connect() as own:
                return self.health(own)
        return str(self.command(client, 'health')['status'])

    # -- faults -------------------------------------------------------------

    def pause(self, *daemons: str) -> None:
        """Freeze daemons (all by default): they hold, but do not answer."""
        for kind in daemons or DAEMONS:
            getattr(self, kind).pause()

    def resume(self, *daemons: str) -> None:
        """Let paused daemons run on.

        A lone OSD that thaws has no peers that had it marked down: with Ceph
        16.2 the watches of clients that died meanwhile may then stay for
        good, and so may a "laggy" placement group, which takes no writes.
        Where that matters, thaw_osd(), or kill it and start it again.
        """
        for kind in daemons or DAEMONS:
            getattr(self, kind).resume()

    def thaw_osd(self) -> None:
        """Let the paused OSD run on, and peer anew.

        Peers would have had it marked down while it stood still.
        """
        with self.connect() as client:
            self.command(client, 'osd down', ids=['0'])
        self.resume('osd')

    def kill(self, *daemons: str) -> None:
        """End daemons (all by default) as a power cut would."""
        for kind in daemons or DAEMONS:
            getattr(self, kind).kill()

    def _answers(self, client: rados.Rados) -> bool:
        """Look up enough names to meet each placement group.

        :raises rados.TimedOut: one does not answer
        """
        for pool in self.pools:
            with contextlib.closing(client.open_ioctx(pool)) as ioctx:
                for number in range(8 * PGS):
                    with contextlib.suppress(rados.ObjectNotFound):
                        ioctx.stat(f'no-such-object-{number}')
        return True

    def wait_healthy(self, deadline: float = 120) -> None:
        """Wait until the cluster is well, say after a restart.

        The monitor goes on saying HEALTH_OK for some time after a lone OSD
        has died, and after its restart, while it peers.
        """
        def healthy() -> bool:
            with contextlib.suppress(rados.Error, SandboxError), \
                    self.connect(timeout=5) as client:
                return (self._osd_up(client) and self._healthy(client)
                        and self._answers(client))
            return False

        wait_until(healthy, deadline, f'{self.name} healthy')


def start_all(clusters: Iterable[CephCluster]) -> None:
    """Start several clusters side by side; stop all if one fails."""
    clusters = list(clusters)
    with ThreadPoolExecutor(max(1, len(clusters))) as pool:
        jobs = [pool.submit(cluster.start) for cluster in clusters]
    try:
        for job in jobs:
            job.result()
    except BaseException:
        for cluster in clusters:
            cluster.stop()
        raise
