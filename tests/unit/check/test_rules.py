# SPDX-License-Identifier: Apache-2.0
"""Each rule on a node that is good but for one thing."""

import dataclasses

import ddt
from oslotest import base

from cinder_tagged.check import model
from cinder_tagged.check import rules
from cinder_tagged.check.rules import scheduling
from tests.unit.check import sites

ERROR, WARNING, INFO = (model.Severity.ERROR, model.Severity.WARNING,
                        model.Severity.INFO)
EAST = sites.FSIDS['east']


class RuleCase(base.BaseTestCase):

    def found(self, **changes):
        return rules.findings(sites.good(**changes))

    def only(self, severity, rule, group='', option='', **changes):
        """Expect one finding, with a remedy if it is worth one."""
        found = self.found(**changes)
        self.assertEqual(
            [(severity, rule, group, option)],
            [(f.severity, f.rule, f.group, f.option) for f in found], found)
        if severity > INFO:
            self.assertTrue(found[0].remedy)
        return found[0]


class GoodTest(RuleCase):

    def test_nothing_found(self):
        self.assertEqual([], self.found())

    def test_nothing_looked_at(self):
        self.assertEqual([], rules.findings(model.Site()))

    def test_stock_before_adoption(self):
        conf = model.Conf('cinder.conf', {
            'DEFAULT': {'enabled_backends': 'east'},
            'east': {**sites.stanza('east', '', ''),
                     'volume_driver': model.STOCK_DRIVER}})
        for option in ('feature_tags', 'feature_weight'):
            del conf.sections['east'][option]
        found = rules.findings(model.Site(cinder=conf))
        self.assertEqual([(INFO, 'stock-driver')],
                         [(f.severity, f.rule) for f in found])
        self.assertIn('feature_tags', found[0].remedy)


@ddt.ddt
class BackendsTest(RuleCase):

    def changed(self, severity, rule, group, option, **changes):
        return self.only(severity, rule, group, option,
                         cinder=sites.cinder(**changes))

    def test_no_stanza(self):
        found = self.found(cinder=sites.cinder(west=None))
        self.assertIn(('stanza-missing', 'DEFAULT'),
                      [(f.rule, f.group) for f in found])

    @ddt.data(('feature_tags', 'SSD'), ('feature_tags', ''),
              ('feature_tags', 'colour:red'), ('feature_weight', 'heavy'),
              ('feature_weight', '-1'))
    @ddt.unpack
    def test_bad_feature(self, option, value):
        self.changed(ERROR, 'feature', 'west', option,
                     west={option: value})

    def test_unknown_option(self):
        self.changed(WARNING, 'unknown-option', 'west', 'feature_tag',
                     west={'feature_tag': 'ssd'})

    @ddt.data('volume_backend_name', 'rbd_pool')
    def test_unset(self, option):
        self.changed(WARNING, 'unset', 'west', option, west={option: None})

    def test_shared_by_backend_defaults(self):
        conf = sites.cinder(west={'rbd_pool': None},
                            backend_defaults={'rbd_pool': 'volumes'})
        self.assertEqual([], self.found(cinder=conf))

    def test_other_driver(self):
        self.changed(INFO, 'other-driver', 'lvm', 'volume_driver',
                     DEFAULT={'enabled_backends': 'east, west, lvm'},
                     lvm={'volume_driver': 'x.LVM'})

    def test_tags_on_stock(self):
        found = self.found(cinder=sites.cinder(
            west={'volume_driver': model.STOCK_DRIVER,
                  'feature_weight': None}))
        self.assertIn((WARNING, 'tags-on-stock', 'feature_tags'),
                      [(f.severity, f.rule, f.option) for f in found])

    def test_one_pool_twice(self):
        finding = self.only(
            ERROR, 'same-pool', 'east2', 'rbd_pool', cinder=sites.cinder(
                DEFAULT={'enabled_backends': 'east, west, east2'},
                east2={**sites.stanza('east', 'nvme', '1')}))
        self.assertIn(EAST, finding.what)

    def test_word_of_two_kinds(self):
        self.changed(ERROR, 'two-kinds', 'west', 'feature_tags',
                     west={'feature_tags': 'medium:hdd, type:ssd'})

    def test_one_name_for_two_clusters(self):
        ceph = sites.ceph()
        ceph[dataclasses.replace(sites.login('west'), cluster='east')] = (
            ceph.pop(sites.login('west')))
        self.only(WARNING, 'cluster-name', 'west', 'rbd_cluster_name',
                  cinder=sites.cinder(west={'rbd_cluster_name': 'east'}),
                  ceph=ceph)


@ddt.ddt
class SchedulingTest(RuleCase):

    @ddt.data(
        (ERROR, 'scheduler', 'scheduler_default_filters',
         'AvailabilityZoneFilter,CapacityFilter'),
        (WARNING, 'scheduler', 'scheduler_default_filters', 'FeatureFilter'),
        (WARNING, 'scheduler', 'scheduler_host_manager', 'x.HostManager'),
        (WARNING, 'scheduler', 'volume_manager', 'x.VolumeManager'),
        (ERROR, 'scheduler', 'scheduler_driver', 'x.ChanceScheduler'),
        (WARNING, 'weigher', 'scheduler_default_weighers',
         'CapacityWeigher'),
        (WARNING, 'weigher', 'scheduler_default_weighers',
         'FeatureWeigher, CapacityWeigher'))
    @ddt.unpack
    def test_switch(self, severity, rule, option, value):
        self.only(severity, rule, 'DEFAULT', option,
                  cinder=sites.cinder(DEFAULT={option: value}))

    def test_policy(self):
        self.only(ERROR, 'policy', 'feature', 'policy',
                  cinder=sites.cinder(feature={'policy': 'fair'}))

    def test_journal_in_part(self):
        options = dict(scheduling.JOURNAL)
        del options['scheduler_manager']
        self.only(ERROR, 'journal', 'DEFAULT', 'scheduler_manager',
                  cinder=sites.cinder(DEFAULT=options))

    def test_journal(self):
        self.assertEqual([], self.found(
            cinder=sites.cinder(DEFAULT=scheduling.JOURNAL)))

    def test_scheduler_only(self):
        self.assertEqual(
            ['no-backends'], [f.rule for f in self.found(
                cinder=sites.cinder(DEFAULT={'enabled_backends': ''}),
                glance=None, secrets=None)])


@ddt.ddt
class CephTest(RuleCase):

    def changed(self, severity, rule, group, option, **facts):
        return self.only(severity, rule, group, option, ceph={
            **sites.ceph(),
            sites.login('east'): sites.view('east', **facts)})

    def test_unreadable(self):
        found = self.changed(ERROR, 'ceph-conf', '', '', problem='it is bad')
        self.assertIn('it is bad', found.what)

    def test_no_monitor(self):
        self.changed(WARNING, 'ceph-conf', 'global', 'mon_host',
                     mon_host='')

    def test_no_fsid(self):
        found = self.changed(WARNING, 'ceph-conf', 'global', 'fsid', fsid='')
        self.assertIn('ceph fsid', found.remedy)

    def test_no_cephx(self):
        self.changed(WARNING, 'no-cephx', 'global', 'auth_client_required',
                     wants_key=False)

    def test_inline_key_in_an_open_file(self):
        self.changed(ERROR, 'ceph-conf', '', 'key', inline_key=True)

    def test_no_key(self):
        found = self.changed(ERROR, 'keyring', 'client.cinder', 'keyring',
                             keyrings=())
        self.assertIn('ceph auth get client.cinder', found.remedy)

    def test_key_not_readable(self):
        path = '/etc/ceph/x.keyring'
        keyring = model.Keyring(sites.state(path, readable=False), True)
        found = self.changed(ERROR, 'keyring', 'client.cinder', 'keyring',
                             keyrings=(keyring,))
        self.assertIn(f'cinder may not read {path}', found.what)

    @ddt.data(0o644, 0o646)
    def test_key_open_to_all(self, mode):
        path = '/etc/ceph/x.keyring'
        keyring = model.Keyring(sites.state(path, mode=mode), True)
        found = self.found(ceph={
            **sites.ceph(),
            sites.login('east'): sites.view('east', keyrings=(keyring,))})
        self.assertEqual({(ERROR, 'keyring-access', path)},
                         {(f.severity, f.rule, f.path) for f in found})


@ddt.ddt
class FilesTest(RuleCase):

    @ddt.data((ERROR, {'exists': False}), (ERROR, {'readable': False}),
              (ERROR, {'mode': 0o642}), (WARNING, {'mode': 0o644}))
    @ddt.unpack
    def test_access(self, severity, facts):
        self.only(severity, 'file-access',
                  files=(sites.state('/etc/cinder/cinder.conf', **facts),))

    def test_unread(self):
        self.only(ERROR, 'unreadable', unread=(('/etc/x', 'bad'),))


class SecretsTest(RuleCase):

    def test_one_uuid_for_two_clusters(self):
        self.only(ERROR, 'secret-shared', 'west', 'rbd_secret_uuid',
                  cinder=sites.cinder(west={'rbd_secret_uuid': EAST}))

    def test_one_uuid_for_two_users(self):
        conf = sites.cinder(
            DEFAULT={'enabled_backends': 'east, west, other'},
            other={**sites.stanza('east', 'nvme', '1'), 'rbd_pool': 'fast',
                   'rbd_user': 'other'})
        login = sites.login('east', user='other')
        self.only(ERROR, 'secret-shared', 'other', 'rbd_secret_uuid',
                  cinder=conf,
                  ceph={**sites.ceph(), login: sites.view('east')})

    def test_fsid_is_the_default(self):
        conf = sites.cinder(west={'rbd_secret_uuid': None})
        self.assertEqual([], self.found(cinder=conf))

    def test_not_in_libvirt(self):
        self.only(ERROR, 'secret-missing', 'west', 'rbd_secret_uuid',
                  secrets=frozenset((EAST,)))

    def nova(self, uuid, user='cinder', conf='/etc/ceph/east.conf'):
        return sites.nova_conf(libvirt={
            'images_type': 'rbd', 'images_rbd_ceph_conf': conf,
            'rbd_user': user, 'rbd_secret_uuid': uuid})

    def test_nova_agrees(self):
        self.assertEqual([], self.found(nova=self.nova(EAST)))

    def test_nova_uses_it_for_another_cluster(self):
        found = self.found(nova=self.nova(EAST, conf='/etc/ceph/west.conf'))
        self.assertIn((ERROR, 'secret-nova'),
                      [(f.severity, f.rule) for f in found])

    def test_nova_has_another(self):
        self.only(WARNING, 'secret-nova', 'libvirt', 'rbd_secret_uuid',
                  nova=self.nova('33333333-3333-4333-8333-333333333333'))


@ddt.ddt
class GlanceTest(RuleCase):

    @ddt.data(
        ('glance-stores', 'DEFAULT', 'enabled_backends',
         {'DEFAULT': {'enabled_backends': 'plain:rbd, featured:tagged, x'}}),
        ('glance-stores', 'glance_store', 'default_backend',
         {'glance_store': {'default_backend': 'gone'}}),
        ('glance-store', 'featured', 'tagged_feature',
         {'featured': {'tagged_feature': 'ssd &'}}),
        ('glance-store', 'featured', 'auth_type',
         {'featured': {'auth_type': None}}),
        ('glance-store', 'featured', 'tagged_volume_name_template',
         {'featured': {'tagged_volume_name_template': 'v-%s'}}),
        ('glance-clusters', 'featured', 'tagged_ceph_confs',
         {'featured': {'tagged_ceph_confs': '/etc/ceph/east.conf'}}),
        ('glance-filter', 'feature_images', 'store',
         {'feature_images': {'store': 'plain'}}))
    @ddt.unpack
    def test_error(self, rule, group, option, changes):
        self.only(ERROR, rule, group, option,
                  glance=sites.glance_conf(**changes))

    def test_locations(self):
        self.only(WARNING, 'glance-locations', 'DEFAULT',
                  'show_multiple_locations', glance=sites.glance_conf(
                      DEFAULT={'show_multiple_locations': 'false'}))

    def test_no_store_for_the_property(self):
        self.only(INFO, 'glance-filter', 'feature_images', 'store',
                  glance=sites.glance_conf(feature_images={'store': ''}))

    @ddt.data((ERROR, 'authtoken context rootapp'),
              (WARNING, 'authtoken feature_images context rootapp'))
    @ddt.unpack
    def test_paste(self, severity, pipeline):
        self.only(severity, 'glance-paste', 'composite:api', 'keystone',
                  glance_paste=sites.glance_paste(pipeline))


@ddt.ddt
class NovaTest(RuleCase):

    def test_not_switched_on(self):
        self.only(INFO, 'nova-paste', nova_paste=sites.nova_paste(
            'keystonecontext app', 'legacy_v2_compatible app'))

    @ddt.data('legacy_v2_compatible app',
              'feature_disks legacy_v2_compatible app')
    def test_pipelines_differ(self, second):
        self.only(ERROR, 'nova-paste',
                  'composite:openstack_compute_api_v21_legacy_v2_compatible',
                  'keystone', nova_paste=sites.nova_paste(second=second))

    def test_no_credentials(self):
        self.only(ERROR, 'nova-cinder', 'cinder', 'auth_type',
                  nova=sites.nova_conf(cinder={'auth_type': None}))

    def test_unknown_source(self):
        self.only(ERROR, 'nova-options', 'feature_disks', 'sources',
                  nova=sites.nova_conf(
                      feature_disks={'sources': 'hint, moon'}))


@ddt.ddt
class HostsTest(RuleCase):

    def host(self, versions=None, **changes):
        return (model.Host('node-2', sites.cinder('node-2.conf', **changes),
                           versions or {}),)

    def test_agree(self):
        # Order and spaces of tags, and the way a number is written, do not
        # matter.
        self.assertEqual([], self.found(hosts=self.host(
            east={'feature_tags': 'purpose:db,medium:ssd',
                  'feature_weight': '3.0'})))

    @ddt.data((ERROR, 'feature_tags', 'ssd'),
              (ERROR, 'feature_weight', '2'), (ERROR, 'rbd_pool', 'other'),
              (ERROR, 'rbd_secret_uuid', 'x'),
              (ERROR, 'volume_driver', model.STOCK_DRIVER),
              (WARNING, 'rbd_user', 'admin'),
              (INFO, 'rbd_ceph_conf', '/etc/ceph/ceph.conf'))
    @ddt.unpack
    def test_backend_differs(self, severity, option, value):
        self.only(severity, 'hosts-differ', 'east', option,
                  hosts=self.host(east={option: value}))

    def test_policy_differs(self):
        self.only(ERROR, 'hosts-differ', 'feature', 'policy',
                  cinder=sites.cinder(feature={'policy': 'strict'}),
                  hosts=self.host(feature={'policy': 'capacity'}))

    @ddt.data((ERROR, 'cinder-tagged'), (WARNING, 'cinder'))
    @ddt.unpack
    def test_versions_differ(self, severity, name):
        self.only(severity, 'versions-differ', versions={name: '1'},
                  hosts=self.host({name: '2'}))


class ReachTest(RuleCase):

    def test_good(self):
        self.assertEqual([], self.found(reached=(model.Reached(
            sites.login('east'), 'volumes', 'write', fsid=EAST),)))

    def test_refused(self):
        self.only(ERROR, 'cluster-write', 'client.cinder', 'volumes',
                  reached=(model.Reached(
                      sites.login('east'), 'volumes', 'write', 'no', 'caps',
                      EAST),))

    def test_wrong_cluster(self):
        # Also: what the cluster says of itself counts, so that both
        # stanzas turn out to be one pool.
        found = self.found(reached=(model.Reached(
            sites.login('east'), 'volumes', 'write',
            fsid=sites.FSIDS['west']),))
        self.assertIn('cluster-fsid', [f.rule for f in found])
        self.assertIn('same-pool', [f.rule for f in found])
