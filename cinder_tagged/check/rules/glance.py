# SPDX-License-Identifier: Apache-2.0
"""Rules about glance-api.conf and its paste file."""

from collections.abc import Iterator

from cinder_tagged import exceptions
from cinder_tagged import features
from cinder_tagged.check import model
from cinder_tagged.check.model import Finding
from cinder_tagged.check.model import Severity

TYPE = 'tagged'
FACTORY = 'glance_store_ext.filter:filter_factory'
_NAME = 'feature_images'
_TEMPLATES = {'volume_name_template': 'volume-%s',
              'snapshot_name_template': 'snapshot-%s'}


def stores(conf: model.Conf) -> dict[str, str]:
    """Return the types of the enabled stores by name."""
    return {name.strip(): kind.strip() for name, _, kind in (
        word.partition(':')
        for word in conf.words('DEFAULT', 'enabled_backends'))}


def logins(conf: model.Conf) -> Iterator[tuple[str, model.Login]]:
    """Yield the stores that are in Ceph, each with its Ceph users."""
    for name, kind in stores(conf).items():
        if kind == TYPE:
            user = conf.get(name, 'tagged_rbd_user', 'glance')
            for path in conf.words(name, 'tagged_ceph_confs') or [
                    '/etc/ceph/ceph.conf']:
                yield name, model.Login('glance', path, 'ceph', user)
        elif kind == 'rbd':
            yield name, model.Login(
                'glance', conf.get(name, 'rbd_store_ceph_conf'), 'ceph',
                conf.get(name, 'rbd_store_user'))


def find(site: model.Site) -> Iterator[Finding]:
    """Yield what keeps images from following tags, or clones from it."""
    conf = site.glance
    if conf is None:
        return
    enabled = stores(conf)
    ours = [name for name, kind in enabled.items() if kind == TYPE]
    yield from _stores(conf, enabled)
    if 'rbd' in enabled.values() or ours:
        yield from _locations(conf)
    for name in ours:
        yield from _store(site, conf, name)
    yield from _wish(conf, ours)
    yield from _paste(site, bool(ours))


def _stores(conf: model.Conf, enabled: dict[str, str]) -> Iterator[Finding]:
    for name, kind in enabled.items():
        if not kind:
            yield Finding(
                Severity.ERROR, 'glance-stores', conf.path, 'DEFAULT',
                'enabled_backends', f'"{name}" has no type',
                f'write {name}:rbd or {name}:{TYPE}')
    default = conf.get('glance_store', 'default_backend')
    if enabled and default not in enabled:
        yield Finding(
            Severity.ERROR, 'glance-stores', conf.path, 'glance_store',
            'default_backend', f'"{default}" is no enabled store',
            f'one of {", ".join(enabled)}')


def _locations(conf: model.Conf) -> Iterator[Finding]:
    if not (conf.true('DEFAULT', 'show_multiple_locations')
            or conf.true('DEFAULT', 'show_image_direct_url')):
        yield Finding(
            Severity.WARNING, 'glance-locations', conf.path, 'DEFAULT',
            'show_multiple_locations',
            'is off: Cinder does not learn where an image is and copies '
            'instead of cloning it', 'show_multiple_locations = true, with '
            'a Glance endpoint for services only')


def _store(site: model.Site, conf: model.Conf,
           name: str) -> Iterator[Finding]:
    def say(option: str, what: str, remedy: str) -> Finding:
        return Finding(Severity.ERROR, 'glance-store', conf.path, name,
                       option, what, remedy)

    feature = conf.get(name, 'tagged_feature')
    if feature and (problem := _unreadable(feature)):
        yield say('tagged_feature', problem,
                  'an expression over tags, such as "ssd & db"')
    if not (conf.get(name, 'auth_type') or conf.get(name, 'auth_section')):
        yield say('auth_type', 'the store has no credentials for Cinder',
                  'auth_type, auth_url, username, password, project_name '
                  'and the two domain names')
    for option, default in _TEMPLATES.items():
        own = conf.get(name, f'tagged_{option}', default)
        if site.cinder is None:
            continue
        theirs = site.cinder.get('DEFAULT', option, default)
        if own != theirs:
            yield say(f'tagged_{option}',
                      f'"{own}", but cinder.conf has {option} = {theirs}: '
                      'images would not be found on the clusters',
                      f'tagged_{option} = {theirs}')
    yield from _clusters(site, conf, name)


def _clusters(site: model.Site, conf: model.Conf,
              name: str) -> Iterator[Finding]:
    paths = conf.words(name, 'tagged_ceph_confs')
    views = {login.conf: view for login, view in site.ceph.items()
             if login.service == 'glance'}
    known = {view.fsid for path, view in views.items()
             if path in paths and view.fsid}
    for stanza in site.tagged():
        fsid = site.fsid(stanza.login)
        if fsid and fsid not in known:
            yield Finding(
                Severity.ERROR, 'glance-clusters', conf.path, name,
                'tagged_ceph_confs',
                f'no file here has the fsid {fsid} of the backend '
                f'{stanza.name}: uploads that Cinder places there fail',
                "add a ceph.conf of that cluster, with its fsid in it")


def _wish(conf: model.Conf, ours: list[str]) -> Iterator[Finding]:
    store = conf.get('feature_images', 'store')
    if store and store not in ours:
        yield Finding(
            Severity.ERROR, 'glance-filter', conf.path, 'feature_images',
            'store', f'"{store}" is no enabled store of the type "{TYPE}"',
            f'one of {", ".join(ours)}' if ours else
            f'add {store}:{TYPE} to enabled_backends, or take it out')
    elif ours and not store:
        yield Finding(
            Severity.INFO, 'glance-filter', conf.path, 'feature_images',
            'store', 'is not set: images with the property "feature" go to '
            'the default store unless the client names a store',
            f'store = {ours[0]}')


def _paste(site: model.Site, wanted: bool) -> Iterator[Finding]:
    paste, conf = site.glance_paste, site.glance
    if paste is None or conf is None:
        return
    names = {name for name, factory in paste.filters.items()
             if factory == FACTORY or factory.endswith(f'#{_NAME}')}
    flavor = conf.get('paste_deploy', 'flavor')
    pipeline = paste.pipelines.get(('composite:api', flavor or 'default'), ())
    used = [name for name in pipeline if name in names]
    if wanted and not used:
        yield Finding(
            Severity.ERROR, 'glance-paste', paste.path, 'composite:api',
            flavor or 'default',
            f'the filter {_NAME} is not in the pipeline: image properties '
            'choose no store, and "image stores list --detail" fails',
            f'put {_NAME} right before rootapp, and a section '
            f'[filter:{_NAME}] with paste.filter_factory = {FACTORY}')
    elif used and pipeline[-2:-1] != (used[-1],):
        yield Finding(
            Severity.WARNING, 'glance-paste', paste.path, 'composite:api',
            flavor or 'default', f'{used[-1]} does not stand right before '
            'the application', 'move it there: it needs what the filters '
            'before it add to a request')


def _unreadable(expression: str) -> str:
    try:
        features.parse_expression(expression)
    except exceptions.ExpressionError as error:
        return str(error)
    return ''
