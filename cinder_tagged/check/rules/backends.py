# SPDX-License-Identifier: Apache-2.0
"""Rules about the stanzas of cinder.conf."""

from collections.abc import Iterator

from cinder_tagged import exceptions
from cinder_tagged import features
from cinder_tagged.check import model
from cinder_tagged.check.model import Finding
from cinder_tagged.check.model import Severity

_FEATURE_OPTIONS = ('feature_tags', 'feature_weight')


def find(site: model.Site) -> Iterator[Finding]:
    """Yield what is to be said of the enabled backends."""
    if site.cinder is None:
        return
    found = model.stanzas(site.cinder)
    if not found:
        yield Finding(
            Severity.INFO, 'no-backends', site.cinder.path, 'DEFAULT',
            'enabled_backends', 'no backend is enabled: a host without a '
            'volume service')
    for stanza in found:
        if stanza.name not in site.cinder.sections:
            yield Finding(
                Severity.ERROR, 'stanza-missing', site.cinder.path,
                'DEFAULT', 'enabled_backends',
                f'{stanza.name} is enabled but has no stanza',
                f'add [{stanza.name}], or take it out of enabled_backends')
        else:
            yield from _stanza(stanza)
    yield from _together(site)


def _stanza(stanza: model.Stanza) -> Iterator[Finding]:
    def say(severity: Severity, rule: str, option: str, what: str,
            remedy: str = '') -> Finding:
        return Finding(severity, rule, stanza.conf.path, stanza.name, option,
                       what, remedy)

    if not stanza.rbd:
        yield say(Severity.INFO, 'other-driver', 'volume_driver',
                  f'{stanza.get("volume_driver") or "(unset)"} is neither '
                  'the tagged nor the stock RBD driver; left alone')
        return
    if stanza.tagged:
        yield from _feature(stanza)
    else:
        yield say(Severity.INFO, 'stock-driver', 'volume_driver',
                  "runs on Cinder's own RBD driver",
                  f'to adopt it: volume_driver = {model.TAGGED_DRIVER}, and '
                  'feature_tags')
    for option in stanza.options:
        if not option.startswith('feature_'):
            continue
        if not stanza.tagged:
            yield say(Severity.WARNING, 'tags-on-stock', option,
                      "has no effect on Cinder's own driver",
                      f'set volume_driver = {model.TAGGED_DRIVER}, or take '
                      'the option out')
        elif option not in _FEATURE_OPTIONS:
            yield say(Severity.WARNING, 'unknown-option', option,
                      'is no option of the tagged driver',
                      f'write one of {", ".join(_FEATURE_OPTIONS)}')
    yield from _identity(stanza)


def _feature(stanza: model.Stanza) -> Iterator[Finding]:
    try:
        features.parse_tags(stanza.get('feature_tags'))
        features.parse_weight(stanza.get('feature_weight', '1'))
    except exceptions.FeatureConfigError as error:
        yield Finding(Severity.ERROR, 'feature', stanza.conf.path,
                      stanza.name, error.option,
                      f'"{error.value}" cannot be used', error.remedy)


def _identity(stanza: model.Stanza) -> Iterator[Finding]:
    for option, what, remedy in (
            ('volume_backend_name',
             'is not set: the scheduler shows all such backends under one '
             'name', f'volume_backend_name = {stanza.name}'),
            ('rbd_user',
             'is not set: the service connects as client.admin, which may '
             'do anything to the cluster',
             'rbd_user = cinder, with the capabilities of "profile rbd"'),
            ('rbd_pool', 'is not set: the pool "rbd" is used',
             'name the pool, also if it is rbd'),
            ('rbd_ceph_conf',
             "is not set: librados takes the machine's default file",
             'name the file, such as /etc/ceph/NAME.conf')):
        if not stanza.get(option):
            yield Finding(Severity.WARNING, 'unset', stanza.conf.path,
                          stanza.name, option, what, remedy)


def _together(site: model.Site) -> Iterator[Finding]:
    """Find what makes the stanzas contradict each other."""
    readable = []
    for stanza in site.tagged():
        try:
            readable.append((stanza, features.SecondLevelFeature(
                stanza.name,
                features.Cluster(site.place(stanza.login), '', stanza.pool),
                features.parse_tags(stanza.get('feature_tags')))))
        except exceptions.FeatureConfigError:
            continue
    by_name = {stanza.name: stanza for stanza, _ in readable}
    for conflict in features.Catalog(f for _, f in readable).conflicts():
        shared_pool = '/' in conflict.subject
        stanza = by_name[conflict.backends[-1]]
        yield Finding(
            Severity.ERROR, 'same-pool' if shared_pool else 'two-kinds',
            stanza.conf.path, stanza.name,
            'rbd_pool' if shared_pool else 'feature_tags', conflict.message,
            'give one of them another pool, or remove its stanza'
            if shared_pool else 'use one kind everywhere')
    yield from _names(site)


def _names(site: model.Site) -> Iterator[Finding]:
    place_of: dict[str, tuple[str, str]] = {}
    for stanza in site.tagged():
        name = stanza.get('rbd_cluster_name', 'ceph')
        place = site.place(stanza.login)
        first, other = place_of.setdefault(name, (stanza.name, place))
        if other != place:
            yield Finding(
                Severity.WARNING, 'cluster-name', stanza.conf.path,
                stanza.name, 'rbd_cluster_name',
                f'"{name}" is also what [{first}] calls another cluster: '
                'lists and logs cannot tell them apart',
                'give each cluster a name of its own')
