# SPDX-License-Identifier: Apache-2.0
"""Retypes that only move, and others."""

from cinder import objects
from oslo_utils import importutils
from oslotest import base

from cinder_tagged.volume import retype

MOVE = {'encryption': {}, 'qos_specs': {}, 'extra_specs': {
    'feature:require': ('ssd', 'hdd'),
    'feature:managed_by': ('cinder-tagged', 'cinder-tagged')}}


class RetypeTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        objects.register_all()
        module = importutils.import_module('cinder_tagged.volume.manager')
        # It needs nothing of the manager that it belongs to.
        self.manager = object.__new__(module.VolumeManager)

    def can_move(self, diff):
        return self.manager._can_use_driver_migration(diff)

    def test_features_only_place_a_volume(self):
        self.assertEqual({'encryption': {}, 'qos_specs': {},
                          'extra_specs': {}}, retype.without_features(MOVE))
        self.assertTrue(self.can_move(MOVE))

    def test_no_difference(self):
        self.assertTrue(self.can_move(None))
        self.assertTrue(self.can_move({}))

    def test_other_specs_are_not_for_the_driver(self):
        self.assertFalse(self.can_move({'extra_specs': {
            **MOVE['extra_specs'], 'multiattach': (None, '<is> True')}}))

    def test_backend_names_place_a_volume_too(self):
        self.assertTrue(self.can_move({'extra_specs': {
            **MOVE['extra_specs'], 'volume_backend_name': ('a', 'b')}}))

    def test_encryption_and_quality_of_service(self):
        for kind in ('encryption', 'qos_specs'):
            self.assertFalse(self.can_move({**MOVE, kind: {'x': (1, 2)}}))

    def test_the_difference_itself_is_left_alone(self):
        before = {**MOVE, 'extra_specs': dict(MOVE['extra_specs'])}
        retype.without_features(MOVE)
        self.assertEqual(before, MOVE)
