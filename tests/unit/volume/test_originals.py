# SPDX-License-Identifier: Apache-2.0
"""Where an image can be had."""

import ddt
from oslotest import base

from cinder_tagged.ceph.connection import Identity
from cinder_tagged.ceph.connection import Timeouts
from cinder_tagged.copy import spec
from cinder_tagged.volume import originals
from cinder_tagged.volume.originals import Location

A = Identity('/etc/ceph/a.conf', 'ceph', 'cinder', Timeouts(1, 1, 1))
META = {'id': 'i', 'disk_format': 'raw', 'container_format': 'bare',
        'size': 5, 'checksum': 'c', 'properties': {}}


@ddt.ddt
class OriginalsTest(base.BaseTestCase):

    def candidates(self, location, **meta):
        return list(originals.candidates(
            {**META, **meta}, location, {'fsid-a': A}.get,
            lambda: [b'data'], 10))

    def test_address(self):
        self.assertEqual(
            Location('f', 'images', 'a/b', 'snap'),
            originals.parse('rbd://f/images/a%2Fb/snap'))

    @ddt.data(None, '', 'rbd://', 'rbd://image', 'rbd://f/p/i/', 'file:///x',
              'rbd://f/p/i/s/more', 'cinder://store/volume')
    def test_other_addresses(self, url):
        self.assertIsNone(originals.parse(url))

    @ddt.data((None, []), ((None, None), [None]), (('a', None), ['a']),
              (('a', [{'url': 'b'}, {'url': 'c'}]), ['b', 'c']),
              (('a', []), ['a']))
    @ddt.unpack
    def test_addresses_from_glance(self, location, expected):
        self.assertEqual(expected, originals.urls(location))

    def test_rbd_first_then_glance(self):
        first, second = self.candidates(('rbd://fsid-a/images/i/snap', None))
        self.assertEqual(
            spec.RbdImage(spec.Place(A, 'images'), 'i', 'snap'),
            first.source)
        self.assertIsNone(second.source)
        self.assertEqual([b'data'], list(second.data()))
        self.assertEqual(('i', 'c', 5, 10), (
            first.image, first.digest, first.size, first.limit))

    def test_unknown_clusters_are_passed_over(self):
        (only,) = self.candidates(('x', [
            {'url': 'rbd://fsid-b/images/i/snap'}, {'url': 'http://x'}]))
        self.assertIsNone(only.source)

    def test_the_better_hash_counts(self):
        (only,) = self.candidates(None, os_hash_value='better')
        self.assertEqual('better', only.digest)

    @ddt.data({}, {'disk_format': 'qcow2'}, {'container_format': None})
    def test_fit(self, change):
        self.assertEqual('', originals.unfit({**META, **change}, 'enabled'))

    @ddt.data({'disk_format': 'vmdk'}, {'disk_format': None},
              {'container_format': 'compressed'}, {'size': 0},
              {'properties': {'cinder_encryption_key_id': 'k'}},
              {'properties': {'img_signature': 's'}})
    def test_unfit(self, change):
        self.assertNotEqual(
            '', originals.unfit({**META, **change}, 'enabled'))

    def test_signatures_count_only_where_they_are_verified(self):
        self.assertEqual('', originals.unfit(
            {**META, 'properties': {'img_signature': 's'}}, 'disabled'))
