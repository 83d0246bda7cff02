# SPDX-License-Identifier: Apache-2.0
"""Puts together what the adapters see."""

from collections.abc import Iterable
from collections.abc import Sequence
import dataclasses
import pathlib

from cinder_tagged.check import model
from cinder_tagged.check.adapters import access
from cinder_tagged.check.adapters import ceph_files
from cinder_tagged.check.adapters import collected
from cinder_tagged.check.adapters import conf_files
from cinder_tagged.check.rules import glance as glance_rules


@dataclasses.dataclass(frozen=True, slots=True)
class Wanted:
    """What to look at; an empty list of files leaves a service out.

    :param deadline: seconds for each call to a cluster; None asks none
    """

    cinder: Sequence[str] = ()
    nova: Sequence[str] = ()
    glance: Sequence[str] = ()
    collected: str = ''
    secrets: str = ''
    users: dict[str, str] = dataclasses.field(default_factory=dict)
    deadline: int | None = None


class _Gathering:
    def __init__(self, wanted: Wanted) -> None:
        self.judge = access.Judge(wanted.users)
        self.files: list[model.FileState] = []
        self.unread: list[tuple[str, str]] = []

    def conf(self, paths: Sequence[str],
             service: str) -> model.Conf | None:
        if not paths:
            return None
        self.files += [self.judge.state(path, service)
                       for path in conf_files.expand(paths)]
        try:
            return conf_files.read(paths)
        except conf_files.Unreadable as exc:
            self.unread.append((paths[0], str(exc)))
            return None

    def paste(self, path: str) -> model.Paste | None:
        if not path:
            return None
        try:
            return conf_files.read_paste(path)
        except conf_files.Unreadable as exc:
            self.unread.append((path, str(exc)))
            return None


def gather(wanted: Wanted) -> model.Site:
    """Look at everything that is wanted."""
    work = _Gathering(wanted)
    cinder = work.conf(wanted.cinder, 'cinder')
    nova = work.conf(wanted.nova, 'nova')
    glance = work.conf(wanted.glance, 'glance')
    hosts = []
    for host in collected.hosts(wanted.collected) if wanted.collected else ():
        if isinstance(host, model.Host):
            hosts.append(host)
        else:
            work.unread.append(host)
    site = model.Site(
        cinder=cinder, nova=nova, glance=glance,
        nova_paste=work.paste(_nova_paste(nova)),
        glance_paste=work.paste(_glance_paste(glance)),
        files=tuple(work.files), hosts=tuple(hosts),
        secrets=(collected.libvirt_secrets(wanted.secrets)
                 if wanted.secrets else None),
        versions=collected.versions_here())
    site = dataclasses.replace(
        site, unread=tuple(work.unread),
        ceph={login: ceph_files.view(login, work.judge)
              for login in _logins(site)})
    if wanted.deadline is None:
        return site
    # Here: a host without Ceph's libraries can still check its files.
    from cinder_tagged.check.adapters import clusters
    return dataclasses.replace(site, reached=clusters.reach(
        list(dict.fromkeys(_tasks(site))), wanted.deadline))


def _logins(site: model.Site) -> Iterable[model.Login]:
    yield from dict.fromkeys(
        [stanza.login for stanza in site.stanzas()]
        + ([login for _, login in glance_rules.logins(site.glance)]
           if site.glance else []))


def _tasks(site: model.Site) -> Iterable[tuple[model.Login, str]]:
    """Yield who has to write which pool."""
    usable = {login for login, view in site.ceph.items() if not view.problem}
    pools: dict[str, list[str]] = {}
    for stanza in site.stanzas():
        if stanza.login in usable:
            yield stanza.login, stanza.pool
        if stanza.tagged:
            pools.setdefault(site.fsid(stanza.login), []).append(stanza.pool)
    if site.glance is None:
        return
    kinds = glance_rules.stores(site.glance)
    for store, login in glance_rules.logins(site.glance):
        if login not in usable:
            continue
        if kinds[store] == glance_rules.TYPE:
            for pool in pools.get(site.fsid(login), []):
                yield login, pool
        else:
            yield login, site.glance.get(store, 'rbd_store_pool', 'images')


def _nova_paste(conf: model.Conf | None) -> str:
    """Return Nova's paste file, or '' if there is none to look at."""
    if conf is None:
        return ''
    written = conf.get('wsgi', 'api_paste_config')
    path = pathlib.Path(conf.path).parent / (written or 'api-paste.ini')
    # A compute node has none.
    return str(path) if written or path.exists() else ''


def _glance_paste(conf: model.Conf | None) -> str:
    if conf is None:
        return ''
    written = conf.get('paste_deploy', 'config_file')
    return str(pathlib.Path(conf.path).parent
               / (written or 'glance-api-paste.ini'))
