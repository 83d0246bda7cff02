# SPDX-License-Identifier: Apache-2.0
"""Rules about hosts that have to agree."""

from collections.abc import Iterator

from cinder_tagged import exceptions
from cinder_tagged import features
from cinder_tagged.check import model
from cinder_tagged.check.model import Finding
from cinder_tagged.check.model import Severity

#: What one backend has to be on each of its hosts, and how bad a difference
#: is. Paths of files may differ by intent.
_STANZA = {
    'volume_driver': Severity.ERROR, 'feature_tags': Severity.ERROR,
    'feature_weight': Severity.ERROR, 'rbd_pool': Severity.ERROR,
    'rbd_secret_uuid': Severity.ERROR,
    'volume_backend_name': Severity.ERROR, 'rbd_user': Severity.WARNING,
    'rbd_cluster_name': Severity.WARNING,
    'rbd_ceph_conf': Severity.INFO,
}
_DEFAULTS = {'feature_weight': '1', 'rbd_pool': 'rbd',
             'rbd_cluster_name': 'ceph'}
#: The same for the whole cloud, as far as a host says anything.
_CLOUD = {
    ('feature', 'policy'): Severity.ERROR,
    ('DEFAULT', 'scheduler_default_filters'): Severity.WARNING,
    ('DEFAULT', 'scheduler_default_weighers'): Severity.WARNING,
    ('DEFAULT', 'scheduler_host_manager'): Severity.WARNING,
    ('DEFAULT', 'volume_name_template'): Severity.ERROR,
}
#: Releases that have to be the same wherever they are installed.
_VERSIONS = {'cinder-tagged': Severity.ERROR, 'cinder': Severity.WARNING}
_HERE = 'this host'


def find(site: model.Site) -> Iterator[Finding]:
    """Yield where hosts contradict each other."""
    hosts = list(site.hosts)
    if site.cinder:
        hosts.insert(0, model.Host(_HERE, site.cinder, site.versions))
    if len(hosts) < 2:
        return
    yield from _backends(hosts)
    yield from _cloud(hosts)
    yield from _versions(hosts)


def _backends(hosts: list[model.Host]) -> Iterator[Finding]:
    first: dict[str, tuple[str, model.Stanza]] = {}
    for host in hosts:
        for stanza in model.stanzas(host.cinder):
            if not stanza.rbd:
                continue
            name, other = first.setdefault(stanza.name, (host.name, stanza))
            for option, severity in _STANZA.items():
                yield from _option(option, severity, (name, other),
                                   (host.name, stanza))


def _option(option: str, severity: Severity,
            one: tuple[str, model.Stanza],
            two: tuple[str, model.Stanza]) -> Iterator[Finding]:
    default = _DEFAULTS.get(option, '')
    values = [stanza.get(option, default) for _, stanza in (one, two)]
    if _normal(option, values[0]) == _normal(option, values[1]):
        return
    stanza = two[1]
    yield Finding(
        severity, 'hosts-differ', stanza.conf.path, stanza.name, option,
        f'"{values[1]}" on {two[0]}, but "{values[0]}" on {one[0]}',
        'one value on all hosts of a backend; where volumes go otherwise '
        'depends on which host reported last')


def _normal(option: str, value: str) -> object:
    try:
        if option == 'feature_tags':
            return frozenset(features.parse_tags(value))
        if option == 'feature_weight':
            return features.parse_weight(value)
    except exceptions.FeatureConfigError:
        pass
    return value


def _cloud(hosts: list[model.Host]) -> Iterator[Finding]:
    for (group, option), severity in _CLOUD.items():
        said = [host for host in hosts if host.cinder.has(group, option)]
        for host in said[1:]:
            value = host.cinder.get(group, option)
            before = said[0].cinder.get(group, option)
            if value != before:
                yield Finding(
                    severity, 'hosts-differ', host.cinder.path, group,
                    option, f'"{value}" on {host.name}, but "{before}" on '
                    f'{said[0].name}', 'one value on all hosts')


def _versions(hosts: list[model.Host]) -> Iterator[Finding]:
    for name, severity in _VERSIONS.items():
        having = [host for host in hosts if host.versions.get(name)]
        for host in having[1:]:
            if host.versions[name] != having[0].versions[name]:
                yield Finding(
                    severity, 'versions-differ', host.cinder.path, '', '',
                    f'{name} {host.versions[name]} on {host.name}, but '
                    f'{having[0].versions[name]} on {having[0].name}',
                    'install one release on all hosts; volume services '
                    'first, then schedulers')
