# SPDX-License-Identifier: Apache-2.0
"""Rules about what switches placement by tags on."""

from collections.abc import Iterator

from cinder_tagged import placement
from cinder_tagged.check import model
from cinder_tagged.check.model import Finding
from cinder_tagged.check.model import Severity

FILTERS = ('AvailabilityZoneFilter,FeatureFilter,CapacityFilter,'
           'CapabilitiesFilter')
HOST_MANAGER = 'cinder_tagged.scheduler.host_manager.TaggedHostManager'
MANAGER = 'cinder_tagged.volume.manager.VolumeManager'
#: The classes that the journal of requests needs, all or none.
JOURNAL = {
    'volume_api_class': 'cinder_tagged.resume.api.API',
    'volume_manager': 'cinder_tagged.resume.volume_manager.VolumeManager',
    'scheduler_manager':
        'cinder_tagged.resume.scheduler_manager.SchedulerManager',
}


def find(site: model.Site) -> Iterator[Finding]:
    """Yield what keeps the scheduler from placing by tags."""
    conf = site.cinder
    if conf is None:
        return
    on = 'FeatureFilter' in conf.words('DEFAULT', 'scheduler_default_filters')
    if site.tagged() or on or conf.get(
            'DEFAULT', 'scheduler_host_manager') == HOST_MANAGER:
        yield from _switches(conf, bool(site.tagged()), on)
        yield from _weighers(conf)
    yield from _journal(conf)
    yield from _policy(conf)


def _switches(conf: model.Conf, tagged: bool, on: bool) -> Iterator[Finding]:
    def say(severity: Severity, option: str, what: str,
            remedy: str) -> Finding:
        return Finding(severity, 'scheduler', conf.path, 'DEFAULT', option,
                       what, remedy)

    filters = conf.words('DEFAULT', 'scheduler_default_filters')
    if not on:
        yield say(Severity.ERROR, 'scheduler_default_filters',
                  'FeatureFilter is not among the filters: tags have no '
                  'effect on where volumes go',
                  f'scheduler_default_filters = {FILTERS}')
    elif 'CapacityFilter' not in filters:
        yield say(Severity.WARNING, 'scheduler_default_filters',
                  'CapacityFilter is missing: backends without tags may be '
                  'filled beyond their room', f'add it: {FILTERS}')
    if on and not tagged and model.stanzas(conf):
        yield say(Severity.INFO, 'scheduler_default_filters',
                  'placement by tags is on, but no backend in this file has '
                  'tags', 'nothing, if other hosts have the tagged backends')
    if conf.get('DEFAULT', 'scheduler_host_manager') != HOST_MANAGER:
        yield say(Severity.WARNING, 'scheduler_host_manager',
                  'every request visits every backend, and no volume types '
                  'are made for tags',
                  f'scheduler_host_manager = {HOST_MANAGER}')
    driver = conf.get('DEFAULT', 'scheduler_driver')
    if driver and not driver.endswith('.FilterScheduler'):
        yield say(Severity.ERROR, 'scheduler_driver',
                  f'{driver} runs no filters',
                  'take the option out: the default is FilterScheduler')
    manager = conf.get('DEFAULT', 'volume_manager')
    if tagged and manager not in (MANAGER, JOURNAL['volume_manager']):
        yield say(Severity.WARNING, 'volume_manager',
                  'a retype to another cluster copies through this host '
                  'instead of from cluster to cluster',
                  f'volume_manager = {MANAGER}')


def _weighers(conf: model.Conf) -> Iterator[Finding]:
    weighers = conf.words('DEFAULT', 'scheduler_default_weighers')
    if 'FeatureWeigher' not in weighers:
        what = ('FeatureWeigher is not among the weighers: feature_weight '
                'has no effect')
    elif len(weighers) > 1:
        others = ', '.join(w for w in weighers if w != 'FeatureWeigher')
        what = (f'beside {others} the weights of backends no longer mean '
                'shares')
    else:
        return
    yield Finding(Severity.WARNING, 'weigher', conf.path, 'DEFAULT',
                  'scheduler_default_weighers', what,
                  'scheduler_default_weighers = FeatureWeigher')


def _journal(conf: model.Conf) -> Iterator[Finding]:
    missing = [option for option, value in JOURNAL.items()
               if conf.get('DEFAULT', option) != value]
    if missing and len(missing) < len(JOURNAL):
        for option in missing:
            yield Finding(
                Severity.ERROR, 'journal', conf.path, 'DEFAULT', option,
                'the journal of requests is switched on in part only: '
                'entries would be written and never closed, or never '
                'written', f'{option} = {JOURNAL[option]}, or take all of '
                f'{", ".join(JOURNAL)} back')


def _policy(conf: model.Conf) -> Iterator[Finding]:
    policy = conf.get('feature', 'policy', 'proportional')
    if policy not in placement.POLICIES:
        yield Finding(Severity.ERROR, 'policy', conf.path, 'feature',
                      'policy', f'"{policy}" is no policy',
                      f'one of {", ".join(sorted(placement.POLICIES))}')
