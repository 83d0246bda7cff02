# SPDX-License-Identifier: Apache-2.0
"""Rules about nova.conf and api-paste.ini."""

from collections.abc import Generator
from collections.abc import Iterator

from cinder_tagged.check import model
from cinder_tagged.check.model import Finding
from cinder_tagged.check.model import Severity

FACTORY = 'nova_hooks.filter:filter_factory'
_NAME = 'feature_disks'
_SOURCES = ('hint', 'metadata', 'flavor', 'image')


def find(site: model.Site) -> Iterator[Finding]:
    """Yield what keeps system disks from following tags."""
    if site.nova is None:
        return
    on = yield from _paste(site)
    if on:
        yield from _options(site.nova)


def _paste(site: model.Site) -> Generator[Finding, None, bool]:
    """Yield what is wrong with the pipelines; return if we are in one."""
    paste = site.nova_paste
    if paste is None:
        return False
    names = {name for name, factory in paste.filters.items()
             if factory == FACTORY or factory.endswith(f'#{_NAME}')}
    compute = {key: apps for key, apps in paste.pipelines.items()
               if key[0].startswith('composite:openstack_compute_api_v2')
               and key[1] == 'keystone'}
    used = {key: [app for app in apps if app in names]
            for key, apps in compute.items()}
    if not any(used.values()):
        yield Finding(
            Severity.INFO, 'nova-paste', paste.path, '', '',
            f'the filter {_NAME} is in no pipeline: system disks follow '
            'tags only where users name a volume type',
            'nothing on a compute node; on an API node see "System disks '
            'by tag"')
        return False
    for (group, option), apps in compute.items():
        if not used[group, option]:
            what = f'{_NAME} is missing here but not in other pipelines'
        elif apps[-2:-1] != (used[group, option][-1],):
            what = f'{_NAME} does not stand right before the application'
        else:
            continue
        yield Finding(Severity.ERROR, 'nova-paste', paste.path, group,
                      option, what, f'put {_NAME} right before {apps[-1]}')
    return True


def _options(conf: model.Conf) -> Iterator[Finding]:
    if not (conf.get('cinder', 'auth_type')
            or conf.get('cinder', 'auth_section')):
        yield Finding(
            Severity.ERROR, 'nova-cinder', conf.path, 'cinder', 'auth_type',
            f'the filter {_NAME} has no credentials for Cinder: requests '
            'with a feature are refused with 503',
            'auth_type, auth_url, username, password, project_name and the '
            'two domain names, of a user with the role admin')
    for source in conf.words(_NAME, 'sources'):
        if source not in _SOURCES:
            yield Finding(
                Severity.ERROR, 'nova-options', conf.path, _NAME, 'sources',
                f'"{source}" is no source of a feature',
                f'any of {", ".join(_SOURCES)}')
