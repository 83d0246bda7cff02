# SPDX-License-Identifier: Apache-2.0
"""Rules about libvirt secrets: which uuid opens which cluster.

A secret holds one key, so its uuid has to stand for one user of one cluster.
Without ``rbd_secret_uuid`` the volume service gives the cluster's fsid.
"""

from collections.abc import Iterator

from cinder_tagged.check import model
from cinder_tagged.check.model import Finding
from cinder_tagged.check.model import Severity


def find(site: model.Site) -> Iterator[Finding]:
    """Yield contradictions between backends, Nova and libvirt."""
    yield from _shared(site)
    yield from _nova(site)
    yield from _present(site)


def _uuid(site: model.Site, stanza: model.Stanza) -> str:
    return (stanza.get('rbd_secret_uuid')
            or site.fsid(stanza.login)).lower()


def _shared(site: model.Site) -> Iterator[Finding]:
    holder: dict[str, tuple[str, tuple[str, str]]] = {}
    for stanza in site.stanzas():
        uuid = _uuid(site, stanza)
        if not uuid:
            continue
        key = site.place(stanza.login), stanza.login.entity
        name, other = holder.setdefault(uuid, (stanza.name, key))
        if other == key:
            continue
        what = 'user' if other[0] == key[0] else 'cluster'
        yield Finding(
            Severity.ERROR, 'secret-shared', stanza.conf.path, stanza.name,
            'rbd_secret_uuid',
            f'{uuid} is also the secret of [{name}], which is another '
            f'{what}: servers get the wrong key there',
            'a uuid for each cluster and user; the fsid of the cluster is '
            'a good one')


def _nova(site: model.Site) -> Iterator[Finding]:
    if site.nova is None:
        return
    uuid = site.nova.get('libvirt', 'rbd_secret_uuid').lower()
    if not uuid:
        return
    entity = f'client.{site.nova.get("libvirt", "rbd_user") or "admin"}'
    place = _place_of_nova(site)
    for stanza in site.stanzas():
        own = site.place(stanza.login), stanza.login.entity
        same_uuid = _uuid(site, stanza) == uuid
        same_key = own == (place, entity)
        if same_uuid and place and not same_key:
            yield Finding(
                Severity.ERROR, 'secret-nova', site.nova.path, 'libvirt',
                'rbd_secret_uuid',
                f'{uuid} is the secret of {own[1]} in the cluster of '
                f'[{stanza.name}], but Nova uses it as {entity} of '
                f'{place}', 'a uuid for each cluster and user')
        elif same_key and not same_uuid:
            yield Finding(
                Severity.WARNING, 'secret-nova', site.nova.path, 'libvirt',
                'rbd_secret_uuid',
                f'differs from rbd_secret_uuid of [{stanza.name}], though '
                'it is the same user of the same cluster: volumes attached '
                'long ago may be given this one',
                'the same uuid in both, or keep a secret under each')


def _place_of_nova(site: model.Site) -> str:
    assert site.nova is not None  # noqa: S101 - asked by the caller
    if site.nova.get('libvirt', 'images_type') != 'rbd':
        return ''
    conf = site.nova.get('libvirt', 'images_rbd_ceph_conf')
    for login in site.ceph:
        if login.conf == conf:
            return site.place(login)
    return conf


def _present(site: model.Site) -> Iterator[Finding]:
    if site.secrets is None:
        return
    for stanza in site.stanzas():
        uuid = _uuid(site, stanza)
        if uuid and uuid not in site.secrets:
            yield Finding(
                Severity.ERROR, 'secret-missing', stanza.conf.path,
                stanza.name, 'rbd_secret_uuid',
                f'libvirt on this node has no secret {uuid}: no server here '
                'can use a volume of this backend',
                'virsh secret-define, then virsh secret-set-value --file, '
                f'with the key of {stanza.login.entity}')
