# SPDX-License-Identifier: Apache-2.0
import ddt
from oslotest import base

from cinder_tagged import features
from cinder_tagged.volume_types import plan


def first_level(*tags):
    return [features.FirstLevelFeature(tag.word, tag.kind, ('a',))
            for tag in features.parse_tags(tags)]


def existing(name, require=None, managed=False, **values):
    specs = {}
    if require:
        specs['feature:require'] = require
    if managed:
        specs['feature:managed_by'] = 'cinder-tagged'
    return plan.ExistingType(name, specs, **values)


@ddt.ddt
class TestPlan(base.BaseTestCase):

    def test_makes_one_type_per_tag(self):
        found = plan.plan(first_level('medium:ssd', 'db'), [])
        self.assertEqual(
            [('ssd', 'Storage with the feature "ssd" (medium)',
              {'feature:require': 'ssd',
               'feature:managed_by': 'cinder-tagged'}),
             ('db', 'Storage with the feature "db"',
              {'feature:require': 'db',
               'feature:managed_by': 'cinder-tagged'})],
            [(t.name, t.description, t.extra_specs) for t in found.create])
        self.assertIs(plan.State.MISSING, found.state_of('ssd'))

    def test_second_run_makes_nothing(self):
        tags = first_level('medium:ssd', 'db')
        made = [plan.ExistingType(t.name, t.extra_specs, t.description)
                for t in plan.plan(tags, []).create]
        found = plan.plan(tags, made)
        self.assertEqual(((), []), (found.create, found.complaints()))
        self.assertIs(plan.State.SERVED, found.state_of('db'))

    @ddt.data(
        (None, 'does not ask for the tag (no feature:require)'),
        ('hdd', "asks for 'hdd'"),
        ('hdd | medium:ssd', "asks for 'hdd | medium:ssd'"),
        ('ssd &', "asks for 'ssd &'"),
        ('ssd', 'asks for the same tag, so it serves'),
        ('medium:ssd', 'asks for the same tag, so it serves'))
    @ddt.unpack
    def test_type_of_somebody_else_is_left_and_reported(self, asks, said):
        found = plan.plan(first_level('ssd'), [existing('ssd', asks)])
        self.assertEqual((), found.create)
        self.assertIs(plan.State.FOREIGN, found.state_of('ssd'))
        self.assertEqual(
            [f"the volume type 'ssd' was made by somebody else and {said}; "
             'it is left alone'], found.complaints())

    def test_names_differ_by_case_only(self):
        found = plan.plan(first_level('ssd'), [existing('SSD')])
        self.assertEqual((), found.create)
        self.assertEqual('SSD', found.type_of('ssd').name)

    def test_private_type_of_ours_serves(self):
        found = plan.plan(first_level('ssd'), [
            existing('ssd', 'ssd', managed=True, is_public=False)])
        self.assertEqual((), found.create)

    def test_renamed_type_of_ours_serves(self):
        found = plan.plan(first_level('ssd'),
                          [existing('fast', 'ssd', managed=True)])
        self.assertEqual(((), []), (found.create, found.complaints()))
        self.assertEqual('fast', found.type_of('ssd').name)

    def test_edited_type_of_ours_is_left_and_reported(self):
        found = plan.plan(first_level('ssd'),
                          [existing('ssd', 'ssd & !db', managed=True)])
        self.assertEqual((), found.create)
        self.assertEqual(
            ["the volume type 'ssd' was made for the tag 'ssd' and now asks "
             "for 'ssd & !db'; it is left alone"], found.complaints())

    def test_type_whose_tag_is_gone_is_kept_and_reported(self):
        found = plan.plan([], [existing('ssd', 'ssd', managed=True),
                               existing('gold')])
        self.assertIs(plan.State.UNSERVED, found.state_of('ssd'))
        self.assertEqual(
            ["the volume type 'ssd' is unserved: no backend reports the tag "
             "'ssd'; it is kept"], found.complaints())
