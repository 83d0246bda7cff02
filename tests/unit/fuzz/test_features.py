# SPDX-License-Identifier: Apache-2.0
"""Tags, weights, expressions, reports of backends."""

import contextlib

from hypothesis import example
from hypothesis import given
from hypothesis import strategies as st
from oslotest import base

from cinder_tagged import exceptions
from cinder_tagged import features
from cinder_tagged import placement
from cinder_tagged.features import wire
from tests.unit import fuzz

_GOOD = features.to_capabilities(features.SecondLevelFeature(
    'a', features.Cluster('fsid', 'name', 'pool'),
    features.parse_tags('medium:ssd, public'), 2.0)) | {
        'total_capacity_gb': 100.0, 'free_capacity_gb': 50.0,
        'provisioned_capacity_gb': 10, 'allocated_capacity_gb': 3,
        'max_over_subscription_ratio': '20.0', 'reserved_percentage': 0,
        'thin_provisioning_support': True, 'backend_state': 'up'}


class FeaturesTest(base.BaseTestCase):

    @given(fuzz.text)
    @fuzz.bounded
    def test_tags(self, text):
        with contextlib.suppress(exceptions.FeatureConfigError):
            tags = features.parse_tags(text)
            # What is written down again means the same.
            self.assertEqual(
                tags, features.parse_tags([str(tag) for tag in tags]))

    @given(st.one_of(fuzz.text, fuzz.numbers, fuzz.json_values))
    @fuzz.bounded
    def test_weight(self, value):
        with contextlib.suppress(exceptions.FeatureConfigError):
            weight = features.parse_weight(value)
            self.assertTrue(0 <= weight < float('inf'))

    @given(st.one_of(fuzz.text, fuzz.spoiled(
        '(ssd | medium:nvme) & !(shared & type:public)'),
        st.text('&|!() a', max_size=300)))
    @example('!' * 255)
    @example('(' * 200)
    @example('a&' * 120 + 'a')
    @fuzz.bounded
    def test_expression(self, text):
        with contextlib.suppress(exceptions.ExpressionError):
            found = features.parse_expression(text)
            again = features.parse_expression(str(found)[:255]) if (
                len(str(found)) <= 255) else found
            for words in ({}, {'ssd': 'medium'}, {'a': None, 'ssd': None}):
                self.assertEqual(found.matches(words), again.matches(words))
                self.assertEqual(found.matches(words),
                                 not found.reasons(words))

    @given(fuzz.json_values)
    @example(['ssd'] * 20000)
    @example(['a'] * 3000 + ['&'])
    @fuzz.bounded
    def test_hint(self, value):
        with contextlib.suppress(exceptions.ExpressionError):
            found = placement.requirement(None, {'feature': value})
            if found is not None:
                str(found)
                found.matches({})

    @given(fuzz.altered(_GOOD))
    @example({**_GOOD, wire.TAGS: 7})
    @example({**_GOOD, wire.TAGS: [['ssd']]})
    @example({**_GOOD, wire.WEIGHT: 10 ** 400})
    @example({**_GOOD, 'total_capacity_gb': 'much'})
    @example({**_GOOD, 'reserved_percentage': 1e308})
    @fuzz.bounded
    def test_report(self, capabilities):
        with contextlib.suppress(exceptions.FeatureConfigError):
            pool = placement.Pool.from_capabilities('h@b#p', capabilities)
            placement.decide(
                placement.Request(1, features.parse_expression('ssd')),
                [pool], placement.get_policy('proportional'))
