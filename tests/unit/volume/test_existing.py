# SPDX-License-Identifier: Apache-2.0

import ddt
from oslotest import base

from cinder_tagged.volume import existing

WANTED = existing.Shape(size=1024 ** 3, order=22, features=61)


@ddt.ddt
class FoundTest(base.BaseTestCase):

    def test_unused_and_as_wanted(self):
        self.assertEqual([], existing.Found(WANTED).against(WANTED))

    @ddt.data(
        ({'shape': existing.Shape(5, 22, 61)}, 'its size is 5'),
        ({'shape': existing.Shape(1024 ** 3, 23, 61)}, 'its order is 23'),
        ({'shape': existing.Shape(1024 ** 3, 22, 1)}, 'its features is 1'),
        ({'parent': 'images/a@snap'}, 'a clone of images/a@snap'),
        ({'snapshots': ('one', 'two')}, 'has snapshots: one, two'),
        ({'users': ('10.0.0.1:0/1',)}, 'in use by 10.0.0.1:0/1'),
        ({'written': True}, 'data has been written'),
    )
    @ddt.unpack
    def test_speaks_against_it(self, seen, reason):
        found = existing.Found(**{'shape': WANTED, **seen})
        reasons = found.against(WANTED)
        self.assertEqual(1, len(reasons))
        self.assertIn(reason, reasons[0])

    def test_all_reasons_are_given(self):
        found = existing.Found(existing.Shape(1, 2, 3), parent='p/i@s',
                               snapshots=('s',), users=('u',), written=True)
        self.assertEqual(7, len(found.against(WANTED)))
