# SPDX-License-Identifier: Apache-2.0
"""Opening one connection, with a limit on every kind of call."""

from collections.abc import Callable
import contextlib
import dataclasses
import errno
from pathlib import Path
from typing import Any

import rados

from cinder_tagged.ceph import errors

#: Makes the blocking methods of an object run where they cannot stop the
#: other work of a service. Services that run on native threads need none.
Native = Callable[[Any], Any]

# EIO is what a keyring file that cannot be parsed gives.
_REFUSALS = (errno.EPERM, errno.EACCES, errno.EINVAL, errno.ENOENT,
             errno.EOPNOTSUPP, errno.EIO)
#: Told of every client that has connected, before it is used; one that raises
#: keeps it from being used. The journal writes down addresses here, so that a
#: dead process's clients can be cut off.
observers: list[Callable[[Any], None]] = []

_NO_FSID = '00000000-0000-0000-0000-000000000000'


def unchanged(thing: Any) -> Any:
    """Return the thing itself: the :data:`Native` of native threads."""
    return thing


@dataclasses.dataclass(frozen=True, slots=True)
class Timeouts:
    """Limits in whole seconds; librados takes 0 for "no limit".

    :param mount: for a connection to come about
    :param mon: for an answer from the monitors
    :param osd: for an answer to one object operation
    """

    mount: int
    mon: int
    osd: int

    def __post_init__(self) -> None:
        for name in ('mount', 'mon', 'osd'):
            if getattr(self, name) < 1:
                raise ValueError(f'{name}: at least one second')

    def options(self) -> dict[str, str]:
        """Return them under the names that librados knows."""
        return {'client_mount_timeout': str(self.mount),
                'rados_mon_op_timeout': str(self.mon),
                'rados_osd_op_timeout': str(self.osd)}


@dataclasses.dataclass(frozen=True, slots=True)
class Identity:
    """Whom to connect to, as whom, and with which limits.

    :param conf: path of the ceph.conf; empty for librados' own default
    :param cluster: name that ``$cluster`` stands for in that file
    :param user: without the ``client.``; None for librados' default
    """

    conf: str
    cluster: str
    user: str | None
    timeouts: Timeouts

    def __str__(self) -> str:
        return f'client.{self.user or "admin"}@{self.cluster} ({self.conf})'


def configure(identity: Identity, native: Native = unchanged) -> Any:
    """Return a client that read its file but talked to nobody yet.

    :raises ClusterRefused: the file is missing or cannot be read
    """
    try:
        client = rados.Rados(rados_id=identity.user,
                             clustername=identity.cluster,
                             conffile=identity.conf)
        for option, value in identity.timeouts.options().items():
            client.conf_set(option, value)
    except (rados.Error, OSError) as exc:
        raise errors.ClusterRefused(
            'conf', identity.conf or '(default)',
            'the Ceph configuration file is missing or cannot be read '
            f'({exc}); name one that this service may read') from exc
    return native(client)


def open_client(identity: Identity, native: Native = unchanged, *,
                tell: bool = True) -> Any:
    """Connect.

    :param tell: tell the observers; they must not be told on a thread
        outside of an event loop
    :returns: a connected ``rados.Rados`` (made :data:`Native`)
    :raises ClusterUnreachable: no monitor answered within ``mount`` seconds
    :raises ClusterRefused: configuration file, keyring or user is wrong
    """
    client = configure(identity, native)
    try:
        client.connect()
    except rados.Error as exc:
        refusal = _without_key(client, identity)
        client.shutdown()
        raise refusal or _explain(exc, identity) from exc
    except BaseException:
        client.shutdown()
        raise
    if tell:
        _tell_observers(client)
    return client


def _tell_observers(client: Any) -> None:
    try:
        for observer in observers:
            observer(client)
    except BaseException:
        client.shutdown()
        raise


def open_ioctx(client: Any, pool: str) -> Any:
    """Open a pool on a connection.

    :raises ClusterUnreachable: no answer in time
    :raises ClusterRefused: the pool does not exist
    """
    try:
        return client.open_ioctx(pool)
    except rados.ObjectNotFound as exc:
        raise errors.ClusterRefused(
            'pool', pool, 'the cluster has no pool of this name; create it, '
            'or name another') from exc
    except rados.Error as exc:
        raise errors.ClusterUnreachable(
            f'pool {pool} cannot be opened: {exc}') from exc


def configured_fsid(identity: Identity) -> str:
    """Return the fsid written in the ceph.conf, or '' if there is none.

    Asks no cluster.

    :raises ClusterRefused: the file is missing or cannot be read
    """
    client = configure(identity)
    try:
        fsid = str(client.conf_get('fsid') or '')
    finally:
        client.shutdown()
    return '' if fsid == _NO_FSID else fsid


def _without_key(client: Any,
                 identity: Identity) -> errors.ClusterRefused | None:
    """Tell whether the user's key is missing on this machine.

    librados does not: without a key it goes on asking whether the cluster
    would do without, for as long as no monitor answers.
    """
    required = [client.conf_get(f'auth_{side}_required') or ''
                for side in ('cluster', 'service', 'client')]
    if not all('cephx' in methods for methods in required) or (
            client.conf_get('key') or client.conf_get('keyfile')):
        return None
    files = str(client.conf_get('keyring') or '')
    heading = f'[client.{identity.user or "admin"}]'
    for name in files.split(','):
        # Unreadable is as good as absent.
        with contextlib.suppress(OSError, UnicodeDecodeError):
            lines = Path(name.strip()).read_text('utf-8').splitlines()
            if heading in (line.strip() for line in lines):
                return None
    return errors.ClusterRefused(
        'keyring', files, f'none of these files has a key under {heading}; '
        'install the keyring where this service may read it')


def _explain(exc: Any, identity: Identity) -> errors.CephError:
    """Tell a cluster that is away from one that says no."""
    if getattr(exc, 'errno', None) in _REFUSALS or isinstance(
            exc, rados.InvalidArgumentError):
        return errors.ClusterRefused(
            'user', f'client.{identity.user or "admin"}',
            f'the cluster of {identity.conf or "the default ceph.conf"} '
            f'turned the user away ({exc}); compare its key with '
            '"ceph auth get"')
    return errors.ClusterUnreachable(
        f'no connection within {identity.timeouts.mount} s: {exc}')
