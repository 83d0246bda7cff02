# SPDX-License-Identifier: Apache-2.0
import math

import ddt
from oslotest import base

from cinder_tagged import exceptions
from cinder_tagged import features


@ddt.ddt
class TestTags(base.BaseTestCase):

    def test_reads_words_and_kinds_in_order(self):
        tags = features.parse_tags('medium:ssd, public ,purpose:db')
        self.assertEqual(['medium:ssd', 'public', 'purpose:db'],
                         [str(t) for t in tags])

    def test_a_kind_given_once_is_kept(self):
        self.assertEqual((features.Tag('ssd', 'medium'),),
                         features.parse_tags('ssd, medium:ssd, ssd'))

    @ddt.data(
        ('', 'at least one tag'),
        (' , ', 'at least one tag'),
        ('ssd,,db', 'empty tag between two commas'),
        ('SSD', "'SSD' is not a tag"),
        ('ssd!', 'is not a tag'),
        ('a b', 'is not a tag'),
        ('-a', 'is not a tag'),
        ('x' * 65, 'is not a tag'),
        ('colour:red', "'colour' is not a kind of tag; use one of type"),
        ('medium:', 'is not a tag'),
        ('medium:fast, purpose:fast',
         "'fast' stands under two kinds, medium and purpose"),
    )
    @ddt.unpack
    def test_bad_tags_name_option_value_remedy_and_stanza(self, text, why):
        error = self.assertRaises(exceptions.FeatureConfigError,
                                  features.parse_tags, text, where='[ceph-a]')
        self.assertEqual('feature_tags', error.option)
        self.assertIn(why, str(error))
        self.assertTrue(str(error).startswith('[ceph-a] feature_tags = '))

    @ddt.data(0, 1, 3.5, '2', '0.25')
    def test_weights(self, value):
        self.assertEqual(float(value), features.parse_weight(value))

    @ddt.data(-1, math.nan, math.inf, 'nan', 'heavy', None, '-0.1', '')
    def test_bad_weights(self, value):
        error = self.assertRaises(exceptions.FeatureConfigError,
                                  features.parse_weight, value, where='[x]')
        self.assertIn('[x] feature_weight', str(error))
        self.assertIn('0 or more', str(error))
