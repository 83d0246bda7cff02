# SPDX-License-Identifier: Apache-2.0
"""The pure side: who asks, what disk, which microversion, type, room."""

import ddt
from oslotest import base

from cinder_tagged import features
from nova_hooks import asking
from nova_hooks import errors
from nova_hooks import quota
from nova_hooks import rewrite
from nova_hooks import types
from nova_hooks import version

GIB = 1024 ** 3
SSD = features.parse_expression('ssd')


def _body(hint=None, metadata=None, **server):
    body = {'server': {'name': 'vm', 'imageRef': 'img', 'flavorRef': '1',
                       **server}}
    if hint is not None:
        body['os:scheduler_hints'] = {'feature': hint}
    if metadata is not None:
        body['server']['metadata'] = {'feature': metadata}
    return body


@ddt.ddt
class AskingTest(base.BaseTestCase):

    @ddt.data(
        (_body(), None, None, None),
        (_body('ssd'), None, None, ('hint', 'ssd')),
        (_body(['ssd', 'db']), None, None, ('hint', 'ssd & db')),
        (_body(metadata='ssd'), None, None, ('metadata', 'ssd')),
        (_body(), 'ssd | nvme', None, ('flavor', 'ssd | nvme')),
        (_body(), None, 'ssd', ('image', 'ssd')),
        (_body('ssd', 'ssd'), ' ssd ', 'ssd', ('hint', 'ssd')),
        # agreement is about what is asked, not how it is written
        (_body('ssd & db', ['db', 'ssd']), '!(!db | !ssd)', None,
         ('hint', 'ssd & db')),
        # where the image lives gives way to what the server asks for
        (_body('hdd'), None, 'ssd', ('hint', 'hdd')),
        (_body(), 'hdd', 'ssd', ('flavor', 'hdd')),
    )
    @ddt.unpack
    def test_decide(self, body, flavor, image, expected):
        ask = asking.decide(asking.values(
            body, {asking.EXTRA_SPEC: flavor} if flavor else {},
            {'feature': image} if image else {}))
        self.assertEqual(
            expected, ask and (ask.source, str(ask.expression)))

    @ddt.data((_body('ssd', 'hdd'), None, 'metadata'),
              (_body('ssd'), 'hdd', 'flavor'),
              (_body(metadata='ssd'), 'hdd', 'flavor'))
    @ddt.unpack
    def test_conflict_names_both_places(self, body, flavor, place):
        found = asking.values(body, {asking.EXTRA_SPEC: flavor}
                              if flavor else None)
        error = self.assertRaises(errors.BadRequest, asking.decide, found)
        self.assertEqual(400, error.status)
        self.assertIn('"ssd"', error.message)
        self.assertIn('"hdd"', error.message)
        self.assertIn(place, error.message)

    @ddt.data('', 'SSD', 'ssd &', [], {'a': 1})
    def test_decide_fails_on_what_cannot_be_read(self, value):
        found = asking.values(_body(value))
        error = self.assertRaises(errors.BadRequest, asking.decide, found)
        self.assertIn('scheduler hint', error.message)

    def test_places_switched_off_are_not_read(self):
        found = asking.values(_body('not ( readable', 'ssd'))
        ask = asking.decide(found, ['metadata'])
        self.assertEqual('metadata', ask.source)

    def test_the_old_name_of_hints(self):
        body = _body()
        body['OS-SCH-HNT:scheduler_hints'] = {'feature': 'ssd'}
        self.assertEqual({'hint': 'ssd'}, asking.values(body))

    def test_metadata_that_is_no_record_is_left_to_nova(self):
        self.assertEqual({}, asking.values(_body(metadata=None)
                                           | {'server': {'metadata': 3}}))


@ddt.ddt
class RewriteTest(base.BaseTestCase):

    ask = asking.Ask('hint', SSD)

    def _new(self, server, disk=20, **image):
        root = rewrite.find_root(server)
        decided = rewrite.plan(server, root, self.ask, disk,
                               rewrite.Image(root.image, **image))
        return rewrite.apply(server, decided, 'type-id')

    def test_image_boot(self):
        new = self._new({'name': 'vm', 'imageRef': 'img', 'flavorRef': '1'})
        self.assertEqual({
            'name': 'vm', 'flavorRef': '1',
            'block_device_mapping_v2': [{
                'source_type': 'image', 'destination_type': 'volume',
                'boot_index': 0, 'uuid': 'img', 'volume_size': 20,
                'volume_type': 'type-id', 'delete_on_termination': True}],
        }, new)

    def test_local_root_entry_of_openstackclient(self):
        data = {'source_type': 'volume', 'destination_type': 'volume',
                'uuid': 'vol', 'boot_index': -1}
        new = self._new({
            'imageRef': 'img', 'block_device_mapping_v2': [
                data,
                {'source_type': 'image', 'destination_type': 'local',
                 'boot_index': 0, 'uuid': 'img', 'disk_bus': 'scsi',
                 'delete_on_termination': True, 'volume_size': None}]})
        self.assertNotIn('imageRef', new)
        first, second = new['block_device_mapping_v2']
        self.assertEqual(data, first)
        self.assertEqual('volume', second['destination_type'])
        self.assertEqual('scsi', second['disk_bus'])
        self.assertEqual(20, second['volume_size'])

    def test_new_volume_of_the_client_keeps_its_own_terms(self):
        entry = {'source_type': 'image', 'destination_type': 'volume',
                 'boot_index': '0', 'uuid': 'img', 'volume_size': 7,
                 'delete_on_termination': False}
        new = self._new({'imageRef': '', 'block_device_mapping_v2': [entry]})
        self.assertEqual([{**entry, 'volume_type': 'type-id'}],
                         new['block_device_mapping_v2'])
        self.assertNotIn('volume_type', entry)

    def test_data_volumes_stay_beside_a_new_root(self):
        data = {'source_type': 'blank', 'destination_type': 'volume',
                'boot_index': -1, 'volume_size': 1}
        new = self._new({'imageRef': 'img',
                         'block_device_mapping_v2': [data]})
        self.assertEqual(2, len(new['block_device_mapping_v2']))
        self.assertIn(data, new['block_device_mapping_v2'])

    @ddt.data(
        (20, {}, 20),
        (0, {}, 1),
        (0, {'min_disk_gb': 5, 'size': 3}, 5),
        (0, {'min_disk_gb': 1, 'size': 2 * GIB + 1}, 3),
        (0, {'size': 1, 'virtual_size': 10 * GIB}, 10),
    )
    @ddt.unpack
    def test_size(self, disk, image, expected):
        new = self._new({'imageRef': 'img'}, disk, **image)
        self.assertEqual(expected, rewrite.root_size(new))

    @ddt.data({'min_disk_gb': 5}, {'size': 4 * GIB + 1},
              {'virtual_size': 5 * GIB})
    def test_plan_fails_if_the_flavor_is_too_small(self, image):
        error = self.assertRaises(errors.BadRequest, self._new,
                                  {'imageRef': 'img'}, 4, **image)
        self.assertIn('needs 5 GiB', error.message)

    def test_plan_fails_beside_a_volume_type_of_the_client(self):
        error = self.assertRaises(errors.BadRequest, self._new, {
            'block_device_mapping_v2': [{
                'source_type': 'image', 'destination_type': 'volume',
                'boot_index': 0, 'uuid': 'img', 'volume_size': 7,
                'volume_type': 'mine'}]})
        self.assertIn('"mine"', error.message)

    @ddt.data(
        {},
        {'imageRef': ''},
        {'imageRef': 5},
        {'imageRef': 'img', 'block_device_mapping': [{'device_name': 'vda'}]},
        {'imageRef': 'img', 'block_device_mapping_v2': 'nonsense'},
        {'imageRef': '', 'block_device_mapping_v2': [
            {'source_type': 'volume', 'boot_index': 0, 'uuid': 'v'}]},
        {'imageRef': '', 'block_device_mapping_v2': [
            {'source_type': 'snapshot', 'boot_index': '0', 'uuid': 's',
             'destination_type': 'volume'}]},
    )
    def test_other_roots(self, server):
        self.assertIs(rewrite.Boot.OTHER, rewrite.find_root(server).boot)

    def test_reference_may_be_an_address(self):
        root = rewrite.find_root({'imageRef': 'http://g/images/abc'})
        self.assertEqual('abc', root.image)

    @ddt.data(({}, (1, 1)), ({'min_count': '2'}, (2, 2)),
              ({'max_count': 4}, (1, 4)),
              ({'min_count': 2, 'max_count': 5}, (2, 5)),
              ({'min_count': 'x'}, (1, 1)))
    @ddt.unpack
    def test_counts(self, server, expected):
        self.assertEqual(expected, rewrite.count_of(server))


@ddt.ddt
class VersionTest(base.BaseTestCase):

    @ddt.data(
        (None, None, '2.1'),
        ('compute 2.37', None, '2.37'),
        ('volume 3.60, compute 2.79', '2.1', '2.79'),
        ('volume 3.60', None, '2.1'),
        (None, '2.12', '2.12'),
        ('compute Latest', None, 'latest'),
    )
    @ddt.unpack
    def test_asked(self, header, legacy, expected):
        self.assertEqual(expected, version.asked(header, legacy))

    @ddt.data(('2.1', True), ('2.66', True), ('2.67', False),
              ('2.96', False), ('latest', False), ('nonsense', False),
              ('1.1', False))
    @ddt.unpack
    def test_needs_lift(self, asked, expected):
        self.assertEqual(expected, version.needs_lift(asked))

    def test_lift_keeps_the_meaning_of_no_description(self):
        lifted = version.lift({'name': ' vm ', 'networks': []}, '2.1')
        self.assertEqual('vm', lifted['description'])
        self.assertNotIn('description', version.lift(
            {'name': 'vm', 'networks': []}, '2.19'))

    def test_lift_fails_without_networks_below_2_37(self):
        error = self.assertRaises(errors.BadRequest, version.lift,
                                  {'name': 'vm'}, '2.36')
        self.assertIn('"networks"', error.message)

    def test_lift_fails_on_personality(self):
        error = self.assertRaises(
            errors.BadRequest, version.lift,
            {'networks': 'none', 'personality': []}, '2.37')
        self.assertIn('user_data', error.message)


@ddt.ddt
class TypesTest(base.BaseTestCase):

    def _choose(self, *found, text='ssd & db'):
        return types.choose(found, features.parse_expression(text), 'p')

    def test_a_public_type_of_that_name_comes_first(self):
        one = types.VolumeType('1', 'fast', 'ssd')
        two = types.VolumeType('2', 'ssd', ' ssd')
        self.assertEqual(types.Choice(two),
                         self._choose(one, two, text='ssd'))

    def test_what_a_type_says_may_be_written_otherwise(self):
        one = types.VolumeType('1', 'a', 'db & ssd')
        self.assertEqual(types.Choice(one), self._choose(one))

    def test_a_name_alone_says_nothing(self):
        self.assertEqual(types.Choice(None), self._choose(
            types.VolumeType('1', 'ssd'), text='ssd'))

    def test_private_types_need_access(self):
        one = types.VolumeType('1', 'a', 'ssd & db', False, False,
                               frozenset())
        two = types.VolumeType('2', 'b', 'ssd & db', False, False,
                               frozenset('p'))
        self.assertEqual(types.Choice(None), self._choose(one))
        self.assertEqual(types.Choice(two), self._choose(one, two))

    def test_derived_types_are_opened(self):
        derived = types.VolumeType('1', 'a', 'ssd & db', False, True,
                                   frozenset('q'))
        self.assertEqual(types.Choice(derived, open=True),
                         self._choose(derived))

    def test_unreadable_types_are_passed_over(self):
        self.assertEqual(types.Choice(None), self._choose(
            types.VolumeType('1', 'a', '& &')))

    def test_derived_name_fits_cinder(self):
        self.assertEqual('feature: ssd', types.derived_name(SSD))
        long = features.parse_expression(' | '.join(
            f'tag-{i:02d}-long-enough' for i in range(12)))
        self.assertLessEqual(len(types.derived_name(long)), 255)


@ddt.ddt
class QuotaTest(base.BaseTestCase):

    @staticmethod
    def _usage(**limits):
        return {name: {'limit': limit, 'in_use': used, 'reserved': 0}
                for name, (limit, used) in limits.items()}

    @ddt.data(
        ({}, 5),
        ({'volumes': (-1, 900)}, 5),
        ({'volumes': (10, 5)}, 5),
        ({'volumes': (10, 8)}, 2),
        ({'gigabytes': (100, 75)}, 2),
        ({'gigabytes_ssd': (30, 0)}, 3),
        ({'gigabytes_hdd': (1, 0)}, 5),
    )
    @ddt.unpack
    def test_fit(self, limits, expected):
        self.assertEqual(expected, quota.fit(
            self._usage(**limits), 'ssd', 10, 1, 5))

    @ddt.data(('volumes', (10, 9)), ('gigabytes', (100, 81)),
              ('volumes_ssd', (1, 0)), ('gigabytes_ssd', (19, 0)),
              ('per_volume_gigabytes', (9, 0)))
    @ddt.unpack
    def test_fit_fails_over_quota(self, name, value):
        error = self.assertRaises(
            errors.OverQuota, quota.fit, self._usage(**{name: value}),
            'ssd', 10, 2, 2)
        self.assertEqual(403, error.status)
        self.assertIn(f'Quota exceeded for {name}', error.message)
