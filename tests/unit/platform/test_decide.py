# SPDX-License-Identifier: Apache-2.0
"""The decision table: complete, as documented, and safe in every case."""

import itertools
from pathlib import Path

from oslotest import base

from cinder_tagged.ha.platform.core import decide
from cinder_tagged.ha.platform.core import model as m

DOCS = Path(__file__).parents[3] / 'doc/source/ha/platform.rst'
WRITES = {m.Step.FORMAT, m.Step.CHECK, m.Step.MOUNT, m.Step.START}


def everything():
    """Every observation there can be."""
    for values in itertools.product(
            m.Service, m.Role, m.Claim, m.Elsewhere, m.Container, m.Mapping,
            m.Mount, m.FileSystem, m.Image, (False, True)):
        yield m.Observation(*values)


class TableTest(base.BaseTestCase):

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.cases = [(seen, decide.decide(seen)) for seen in everything()]

    def assert_always(self, condition, text):
        for seen, decision in self.cases:
            if not condition(seen, set(decision.steps)):
                self.fail(f'{text}: {seen} -> {decision}')

    def test_documentation_has_this_table(self):
        self.assertIn(decide.table_rst(), DOCS.read_text())

    def test_every_row_decides_something(self):
        names = [row.name for row in decide.TABLE]
        self.assertEqual(len(names), len(set(names)))
        self.assertEqual(set(names), {d.row for _, d in self.cases})

    def test_m3_a_fault_stops_what_is_here_and_starts_nothing(self):
        def holds(seen, steps):
            if seen.service is m.Service.SOUND:
                return True
            if not seen.here:
                return not steps
            return {m.Step.CUT, m.Step.KILL, m.Step.UNMOUNT,
                    m.Step.UNMAP} == steps
        self.assert_always(holds, 'M3')

    def test_m4_a_sound_master_leaves_a_running_container_alone(self):
        seen = m.Observation(
            role=m.Role.MASTER, claim=m.Claim.OURS,
            container=m.Container.RUNNING, mapping=m.Mapping.CONFIRMED,
            mount=m.Mount.YES, filesystem=m.FileSystem.SOUND)
        self.assertEqual((), decide.decide(seen).steps)

    def test_m4_starts_only_as_sound_master_with_the_volume_mounted(self):
        self.assert_always(
            lambda seen, steps: m.Step.START not in steps or (
                seen.service is m.Service.SOUND
                and seen.role is m.Role.MASTER
                and seen.claim is m.Claim.OURS
                and seen.mapping is m.Mapping.CONFIRMED
                and seen.mount is m.Mount.YES
                and seen.image is m.Image.RIGHT
                and seen.container is m.Container.ABSENT), 'M4')

    def test_m4_nothing_starts_while_it_may_run_elsewhere(self):
        self.assert_always(
            lambda seen, steps: seen.elsewhere is m.Elsewhere.NO
            or m.Step.START not in steps, 'M4')

    def test_m5_a_slave_keeps_nothing_and_starts_nothing(self):
        def holds(seen, steps):
            if seen.role is m.Role.MASTER:
                return True
            if steps & m.UPWARD:
                return False
            return not seen.here or {m.Step.UNMOUNT, m.Step.UNMAP} < steps
        self.assert_always(holds, 'M5')

    def test_m6_nothing_is_written_before_the_record_names_the_client(self):
        self.assert_always(
            lambda seen, steps: not steps & WRITES or (
                seen.claim is m.Claim.OURS
                and seen.mapping is m.Mapping.CONFIRMED), 'M6')

    def test_m6_released_only_after_all_is_down(self):
        self.assert_always(
            lambda seen, steps: m.Step.RELEASE not in steps or not seen.here,
            'M6')

    def test_m6_released_only_when_the_owner_before_has_stopped(self):
        self.assert_always(
            lambda seen, steps: m.Step.RELEASE not in steps
            or seen.elsewhere is m.Elsewhere.NO, 'M6')

    def test_only_an_empty_volume_is_formatted(self):
        self.assert_always(
            lambda seen, steps: m.Step.FORMAT not in steps
            or seen.filesystem is m.FileSystem.EMPTY, 'format')

    def test_a_pause_holds_back_what_brings_it_up(self):
        self.assert_always(
            lambda seen, steps: not seen.pausing or not steps & m.UPWARD,
            'pause')
