# SPDX-License-Identifier: Apache-2.0
"""Rules about ceph.conf files and keyrings, without asking a cluster."""

from collections.abc import Iterator

from cinder_tagged.check import model
from cinder_tagged.check.model import Finding
from cinder_tagged.check.model import Severity
from cinder_tagged.check.rules import files


def find(site: model.Site) -> Iterator[Finding]:
    """Yield what is wrong with the files that lead to clusters."""
    for login, view in site.ceph.items():
        yield from _conf(login, view)
        if not view.problem:
            yield from _key(login, view)
            for keyring in view.keyrings:
                if keyring.has_key and keyring.file.mode & 0o006:
                    yield from files.access(keyring.file, 'keyring-access',
                                            Severity.ERROR)


def _conf(login: model.Login, view: model.CephView) -> Iterator[Finding]:
    def say(severity: Severity, option: str, what: str,
            remedy: str) -> Finding:
        return Finding(severity, 'ceph-conf', view.file.path, 'global',
                       option, what, remedy)

    if view.problem:
        yield Finding(Severity.ERROR, 'ceph-conf', view.file.path, '', '',
                      f'{login.service} cannot use it: {view.problem}',
                      'install the file from the cluster ("ceph config '
                      'generate-minimal-conf")')
        return
    if not view.file.readable and view.file.exists:
        yield Finding(
            Severity.ERROR, 'ceph-conf', view.file.path, '', '',
            f'{view.file.judged_as or login.service} may not read it',
            f'chmod 0644 {view.file.path}: it holds no secret unless a key '
            'stands in it')
    if view.file.mode & 0o002:
        yield Finding(
            Severity.ERROR, 'ceph-conf', view.file.path, '', '',
            'anybody on this machine may change it, and so lead the '
            'service to another cluster', f'chmod 0644 {view.file.path}')
    if view.inline_key and view.file.mode & 0o004:
        yield Finding(
            Severity.ERROR, 'ceph-conf', view.file.path, '', 'key',
            'a key stands in a file that anybody may read',
            'move it to a keyring file of mode 0640')
    if not view.mon_host:
        yield say(Severity.WARNING, 'mon_host',
                  'names no monitor: clients look them up in DNS '
                  '(_ceph-mon._tcp), which a cloud of many clusters cannot '
                  'rely on', 'mon_host = the addresses of the monitors')
    if not view.fsid:
        yield say(Severity.WARNING, 'fsid',
                  'does not say which cluster it is for: two files for one '
                  'cluster are not noticed, and images are not found in it',
                  'fsid = what "ceph fsid" prints')


def _key(login: model.Login, view: model.CephView) -> Iterator[Finding]:
    if not view.wants_key:
        yield Finding(
            Severity.WARNING, 'no-cephx', view.file.path, 'global',
            'auth_client_required',
            'the cluster is used without keys: whoever reaches it may do '
            'anything', 'auth_client_required = cephx')
        return
    if view.key_found:
        return
    unreadable = [k.file for k in view.keyrings
                  if k.file.exists and not k.file.readable]
    paths = ', '.join(k.file.path for k in view.keyrings) or '(none)'
    if unreadable:
        owner = unreadable[0].judged_as or login.service
        what = f'{owner} may not read {unreadable[0].path}'
        remedy = (f'chgrp {login.service} {unreadable[0].path}; '
                  f'chmod 0640 {unreadable[0].path}')
    else:
        what = f'no key for {login.entity} in: {paths}'
        remedy = (f'ceph auth get {login.entity} -o FILE, with FILE one of '
                  'these, mode 0640')
    yield Finding(Severity.ERROR, 'keyring', view.file.path, login.entity,
                  'keyring', what, remedy)
