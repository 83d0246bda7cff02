# SPDX-License-Identifier: Apache-2.0
"""Volumes through the real services land where their features say."""

import ddt

from tests.functional import base

A, B, HDD = 'ceph-ssd-a', 'ceph-ssd-b', 'ceph-hdd'


@ddt.ddt
class VolumePlacementTestCase(base.SandboxTestCase):

    def setUp(self):
        super().setUp()
        self.wait_until(
            lambda: {'ssd', 'hdd', 'db'}
            <= {kind.name for kind in self.cinder.types()},
            'volume types of the tags')

    def _is_on(self, volume, *clusters):
        found = self.clusters_with(volume.id)
        self.assertEqual([self.backend_of(volume.id)], found)
        self.assertIn(found[0], clusters)

    @ddt.data(('ssd', A, B), ('hdd', HDD), ('db', A), ('public', A, HDD))
    def test_by_type(self, case):
        kind, *clusters = case
        self._is_on(self.create_volume(volume_type=kind), *clusters)

    @ddt.data(('ssd & db', A), ('ssd & !db', B), ('hdd | private', HDD, B))
    def test_by_hint(self, case):
        expression, *clusters = case
        volume = self.create_volume(scheduler_hints={'feature': expression})
        self._is_on(volume, *clusters)

    def test_by_expression_of_a_type(self):
        kind = self.cinder.create_type(
            name=self.getUniqueString(),
            extra_specs={'feature:require': 'public & !hdd'})
        self.addCleanup(self.cinder.delete_type, kind)
        self._is_on(self.create_volume(volume_type=kind.name), A)

    def test_type_and_hint_add_up(self):
        volume = self.create_volume(
            volume_type='public', scheduler_hints={'feature': '!ssd'})
        self._is_on(volume, HDD)

    def test_nothing_matches(self):
        volume = self.create_volume(
            wait='error', scheduler_hints={'feature': 'ssd & prod'})
        self.assertEqual([], self.clusters_with(volume.id))
        self.assertIn('ssd & prod', volume.metadata['feature_explanation'])

    def test_weights_share_the_provisioned_capacity(self):
        volumes = [self.create_volume(volume_type='ssd')
                   for _ in range(8)]
        where = [self.clusters_with(volume.id) for volume in volumes]
        # 3:1, whatever other tests have left on the two.
        self.assertGreaterEqual(where.count([A]), 5)
        self.assertGreaterEqual(where.count([B]), 1)
