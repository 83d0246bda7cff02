# SPDX-License-Identifier: Apache-2.0

import ddt
from oslotest import base

from cinder_tagged.ceph import capacity

GIB = 1024 ** 3
DF = {'stats': {'total_bytes': 300 * GIB},
      'pools': [{'name': 'images', 'stats': {'stored': 1, 'max_avail': 2}},
                {'name': 'volumes',
                 'stats': {'stored': 20 * GIB, 'max_avail': 80 * GIB}}]}


@ddt.ddt
class CapacityTest(base.BaseTestCase):

    @ddt.data(
        # quota, dynamic total, (free, total)
        (0, True, (80.0, 100.0)),
        (0, False, (80.0, 300.0)),
        (50 * GIB, True, (30.0, 50.0)),
        (50 * GIB, False, (30.0, 50.0)),
        (200 * GIB, False, (80.0, 200.0)),
        (10 * GIB, True, (0.0, 20.0)),
    )
    @ddt.unpack
    def test_gib(self, quota, dynamic, expected):
        seen = capacity.from_answers(DF, {'quota_max_bytes': quota},
                                     'volumes')
        self.assertEqual(expected, seen.gib(dynamic_total=dynamic))

    def test_two_decimals(self):
        seen = capacity.Capacity(stored=0, available=GIB // 3, cluster=GIB)
        self.assertEqual((0.33, 0.33), seen.gib())

    def test_old_name_of_stored(self):
        df = {'stats': {'total_bytes': 3},
              'pools': [{'name': 'p', 'stats': {'bytes_used': 1,
                                                'max_avail': 2}}]}
        self.assertEqual(1, capacity.from_answers(df, {}, 'p').stored)

    def test_no_statistics_of_the_pool(self):
        error = self.assertRaises(LookupError, capacity.from_answers,
                                  DF, {}, 'backups')
        self.assertIn('backups', str(error))
