# SPDX-License-Identifier: Apache-2.0
"""Has librados read a ceph.conf, and looks for the user's key.

librados itself expands ``$cluster`` and ``$name`` and knows its defaults.
Keys are looked for, never kept.
"""

from typing import Any

from cinder_tagged.check import model
from cinder_tagged.check.adapters import access

_NO_FSID = '00000000-0000-0000-0000-000000000000'


def view(login: model.Login, judge: access.Judge) -> model.CephView:
    """Return what a ceph.conf says to one user; asks no cluster."""
    path = login.conf or f'/etc/ceph/{login.cluster}.conf'
    file = judge.state(path, login.service)
    try:
        from cinder_tagged.ceph import connection
        from cinder_tagged.ceph import errors
    except ImportError:
        return model.CephView(
            file, 'the Python bindings of librados (python3-rados, '
            'python3-rbd) are not installed')
    if not file.exists:
        return model.CephView(file, 'the file does not exist')
    try:
        client = connection.configure(connection.Identity(
            login.conf, login.cluster, login.user or None,
            connection.Timeouts(1, 1, 1)))
    except errors.ClusterRefused:
        return model.CephView(file, 'librados cannot read the file')
    try:
        return _read(client, login, file, judge)
    finally:
        client.shutdown()


def _read(client: Any, login: model.Login, file: model.FileState,
          judge: access.Judge) -> model.CephView:
    def get(option: str) -> str:
        return str(client.conf_get(option) or '')

    keyrings = [_keyring(name.strip(), login, judge)
                for name in get('keyring').split(',') if name.strip()]
    if keyfile := get('keyfile'):
        state = judge.state(keyfile, login.service)
        keyrings.append(model.Keyring(state, state.exists))
    fsid = get('fsid')
    return model.CephView(
        file, fsid='' if fsid == _NO_FSID else fsid,
        mon_host=get('mon_host'),
        wants_key='cephx' in get('auth_client_required'),
        inline_key=bool(get('key')), keyrings=tuple(keyrings))


def _keyring(path: str, login: model.Login,
             judge: access.Judge) -> model.Keyring:
    state = judge.state(path, login.service)
    try:
        with open(path, encoding='utf-8') as file:
            return model.Keyring(state, _holds(file, login.entity))
    except (OSError, ValueError):
        return model.Keyring(state)


def _holds(lines: Any, entity: str) -> bool:
    """Tell whether a keyring has a key for the entity."""
    inside = False
    for line in map(str.strip, lines):
        if line.startswith('['):
            inside = line == f'[{entity}]'
        elif inside and line.partition('=')[0].strip() == 'key':
            return bool(line.partition('=')[2].strip())
    return False
