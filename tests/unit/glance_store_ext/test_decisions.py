# SPDX-License-Identifier: Apache-2.0
"""The pure side: wishes, addresses, runs of data."""


import ddt
import hypothesis
from hypothesis import strategies as st
from oslotest import base

from cinder_tagged import exceptions
from glance_store_ext import leftovers
from glance_store_ext import locations
from glance_store_ext import wish

GIB = 1024 ** 3
FSID = '5fe62cc7-0392-4a32-8466-081ce0ea970f'
VOLUME = '0b5d2a2e-6ad4-4b9e-93a5-6c2f6d3f3b7e'
SNAPSHOT = '6a1d7f59-51a4-4b4c-b0f6-6e1d6f0c9c11'


@ddt.ddt
class WishTest(base.BaseTestCase):

    @ddt.data((None, None, None), ('ssd', None, 'ssd'), (None, 'db', 'db'),
              ('ssd | nvme', 'db', '(ssd | nvme) & db'))
    @ddt.unpack
    def test_join(self, store, image, expected):
        joined = wish.join(store, image)
        self.assertEqual(expected, joined and str(joined))

    def test_join_fails_on_an_empty_property(self):
        self.assertRaises(exceptions.ExpressionError, wish.join, 'ssd', '')

    def test_record(self):
        row = {'size': 7, 'properties': [
            {'name': 'os', 'value': 'x', 'deleted': False},
            {'name': 'feature', 'value': 'old', 'deleted': True},
            {'name': 'feature', 'value': 'ssd', 'deleted': False}]}
        self.assertEqual(wish.Record('ssd', 7), wish.Record.of(row))
        self.assertEqual(wish.Record(), wish.Record.of(
            {'size': None, 'properties': []}))

    @ddt.data((0, 1), (1, 1), (GIB, 1), (GIB + 1, 2))
    @ddt.unpack
    def test_volume_gib(self, size, expected):
        self.assertEqual(expected, wish.volume_gib(size))

    @hypothesis.settings(deadline=None)
    @hypothesis.given(st.integers(0, 2 ** 44), st.integers(1, 2 ** 23))
    def test_grown_fits_in_whole_gib(self, size, more):
        size -= size % GIB
        grown = wish.grown(size, size + more)
        self.assertGreaterEqual(grown, size + more)
        self.assertEqual(0, grown % GIB)
        self.assertLessEqual(grown - size, 64 * GIB)


@ddt.ddt
class LocationsTest(base.BaseTestCase):

    def test_round_trip(self):
        place = locations.Place(FSID, 'vol/umes', f'volume-{VOLUME}',
                                f'snapshot-{SNAPSHOT}')
        self.assertEqual(
            f'rbd://{FSID}/vol%2Fumes/volume-{VOLUME}/snapshot-{SNAPSHOT}',
            place.uri)
        self.assertEqual(place, locations.read(place.uri))
        self.assertEqual(VOLUME, place.volume_id)
        self.assertEqual(SNAPSHOT, place.snapshot_id)

    def test_names_without_ids(self):
        place = locations.read(f'rbd://{FSID}/images/{VOLUME}/snap')
        self.assertIsNone(place.snapshot_id)

    @ddt.data('rbd://image', 'file:///x/y/z/w', 'rbd://a/b/c',
              'rbd://a/b//d', 'rbd://a/b/c/d/e')
    def test_read_fails(self, uri):
        self.assertRaises(locations.LocationError, locations.read, uri)


@ddt.ddt
class LeftoversTest(base.BaseTestCase):

    @ddt.data(
        (leftovers.Candidate(VOLUME, 100, (), False), True),
        (leftovers.Candidate(VOLUME, 100, ('rbd://f/p/volume-0/s',), False),
         True),
        (leftovers.Candidate(
            VOLUME, 100, (f'rbd://f/p/volume-{VOLUME}/s',), False), False),
        (leftovers.Candidate(VOLUME, 100, (), True), False),
        (leftovers.Candidate(VOLUME, 100, (), None), False),
        (leftovers.Candidate(VOLUME, 99, (), False), False),
    )
    @ddt.unpack
    def test_is_leftover(self, candidate, expected):
        self.assertIs(expected, leftovers.is_leftover(candidate, 100))
