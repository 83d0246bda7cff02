# SPDX-License-Identifier: Apache-2.0

import ddt
from oslotest import base

from cinder_tagged import features


@ddt.ddt
class SameMeaningTest(base.BaseTestCase):

    def same(self, one, other):
        one, other = map(features.parse_expression, (one, other))
        found = features.same_meaning(one, other)
        self.assertEqual(found, features.same_meaning(other, one))
        return found

    @ddt.data(('ssd', 'ssd'), ('ssd & db', 'db & ssd'),
              ('a | b | c', 'c | (b | a)'), ('!(a | b)', '!a & !b'),
              ('!!a', 'a'), ('a & (b | c)', 'a & b | a & c'),
              ('a & (a | b)', 'a'), ('medium:ssd & ssd', 'medium:ssd'),
              ('medium:x & type:x', 'a & !a'))
    @ddt.unpack
    def test_same(self, one, other):
        self.assertTrue(self.same(one, other))

    @ddt.data(('ssd', 'hdd'), ('ssd', '!ssd'), ('ssd', 'medium:ssd'),
              ('type:x', 'medium:x'), ('a & b', 'a | b'), ('a', 'a & b'))
    @ddt.unpack
    def test_not_same(self, one, other):
        self.assertFalse(self.same(one, other))

    def test_large_ones_are_compared_as_written(self):
        words = [f'w{number}' for number in range(20)]
        there, back = ' & '.join(words), ' & '.join(reversed(words))
        self.assertTrue(self.same(there, there))
        self.assertFalse(self.same(there, back))
