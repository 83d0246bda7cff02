# SPDX-License-Identifier: Apache-2.0
"""A node in good order, and ways to spoil it."""

from cinder_tagged.check import model
from cinder_tagged.check.rules import glance
from cinder_tagged.check.rules import nova
from cinder_tagged.check.rules import scheduling

FSIDS = {'east': '11111111-1111-4111-8111-111111111111',
         'west': '22222222-2222-4222-8222-222222222222'}


def cinder(path='/etc/cinder/cinder.conf', **changes):
    """Return a good cinder.conf; changes are merged into sections.

    A value of None takes an option out, a section of None the section.
    """
    sections = {
        'DEFAULT': {
            'enabled_backends': 'east, west',
            'scheduler_default_filters': scheduling.FILTERS,
            'scheduler_default_weighers': 'FeatureWeigher',
            'scheduler_host_manager': scheduling.HOST_MANAGER,
            'volume_manager': scheduling.MANAGER},
        'east': stanza('east', 'medium:ssd, purpose:db', '3'),
        'west': stanza('west', 'medium:hdd', '1'),
    }
    return model.Conf(path, merged(sections, changes))


def stanza(name, tags, weight):
    return {'volume_driver': model.TAGGED_DRIVER,
            'volume_backend_name': name, 'rbd_pool': 'volumes',
            'rbd_user': 'cinder', 'rbd_cluster_name': name,
            'rbd_ceph_conf': f'/etc/ceph/{name}.conf',
            'rbd_secret_uuid': FSIDS.get(name, ''),
            'feature_tags': tags, 'feature_weight': weight}


def merged(sections, changes):
    for name, options in changes.items():
        if options is None:
            sections.pop(name)
            continue
        into = sections.setdefault(name, {})
        for option, value in options.items():
            if value is None:
                into.pop(option)
            else:
                into[option] = value
    return sections


def state(path, service='cinder', **facts):
    return model.FileState(path, service, **{
        'exists': True, 'readable': True, 'mode': 0o640,
        'judged_as': service, **facts})


def view(name, service='cinder', user='cinder', **facts):
    keyring = model.Keyring(
        state(f'/etc/ceph/{name}.client.{user}.keyring', service), True)
    return model.CephView(state(f'/etc/ceph/{name}.conf', service,
                                mode=0o644), **{
        'fsid': FSIDS[name], 'mon_host': '10.0.0.1',
        'keyrings': (keyring,), **facts})


def login(name, service='cinder', user='cinder'):
    cluster = name if service == 'cinder' else 'ceph'
    return model.Login(service, f'/etc/ceph/{name}.conf', cluster, user)


def ceph():
    return {login(name, service, user): view(name, service, user)
            for service, user in (('cinder', 'cinder'), ('glance', 'glance'))
            for name in FSIDS}


def glance_conf(**changes):
    return model.Conf('/etc/glance/glance-api.conf', merged({
        'DEFAULT': {'enabled_backends': 'plain:rbd, featured:tagged',
                    'show_multiple_locations': 'true'},
        'glance_store': {'default_backend': 'plain'},
        'plain': {'rbd_store_ceph_conf': '/etc/ceph/east.conf',
                  'rbd_store_user': 'glance'},
        'featured': {
            'auth_type': 'password', 'tagged_rbd_user': 'glance',
            'tagged_ceph_confs': '/etc/ceph/east.conf, /etc/ceph/west.conf'},
        'feature_images': {'store': 'featured'},
        'paste_deploy': {'flavor': 'keystone'}}, changes))


def glance_paste(pipeline='authtoken context feature_images rootapp'):
    return model.Paste('/etc/glance/glance-api-paste.ini', {
        ('composite:api', 'keystone'): tuple(pipeline.split())},
        {'feature_images': glance.FACTORY})


def nova_conf(**changes):
    return model.Conf('/etc/nova/nova.conf', merged(
        {'cinder': {'auth_type': 'password'},
         'libvirt': {}, 'feature_disks': {}}, changes))


def nova_paste(first='keystonecontext feature_disks app',
               second='legacy_v2_compatible feature_disks app'):
    begin = 'composite:openstack_compute_api_v21'
    return model.Paste('/etc/nova/api-paste.ini', {
        (begin, 'keystone'): tuple(first.split()),
        (f'{begin}_legacy_v2_compatible', 'keystone'):
            tuple(second.split())}, {'feature_disks': nova.FACTORY})


def good(**changes):
    """Return a site without findings, with some parts exchanged."""
    return model.Site(**{
        'cinder': cinder(), 'glance': glance_conf(), 'nova': nova_conf(),
        'glance_paste': glance_paste(), 'nova_paste': nova_paste(),
        'ceph': ceph(), 'files': (state('/etc/cinder/cinder.conf'),),
        'secrets': frozenset(FSIDS.values()), **changes})
