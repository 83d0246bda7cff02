# SPDX-License-Identifier: Apache-2.0
"""How long a container may run: the rule, the agent's word, and both at work.

The last part lets three keepers meet misfortunes on a clock that we turn, and
shows that each length of time in the wait of a successor is needed.
"""

import dataclasses
import logging
from unittest import mock

import ddt
import fixtures
from oslotest import base

from cinder_tagged.ha.platform import told
from cinder_tagged.ha.platform.core import lease
from cinder_tagged.ha.platform.core import model as m
from tests.unit.platform import simulation

TERMS = lease.Terms(hold=0.6, agent=1.0, handover=2.0, stop=20.0, kill=5.0)


@ddt.ddt
class ForfeitTest(base.BaseTestCase):

    @ddt.data(
        (True, False, 0.0, False, False),
        (False, False, 0.0, False, True),
        (True, True, 0.0, False, True),
        (True, False, 1.9, False, False),
        (True, False, 2.1, False, True),
        (True, False, 26.9, True, False),
        (True, False, 27.1, True, True),
        (False, False, 0.1, True, True))
    @ddt.unpack
    def test_when_the_right_to_run_ends(self, sound, overtaken, slave_for,
                                        announced, expected):
        seen = lease.Standing(sound, overtaken, slave_for, announced)
        self.assertEqual(expected, bool(lease.forfeited(seen, TERMS)))

    def test_the_wait_of_a_successor_covers_every_length(self):
        self.assertEqual(8.6, TERMS.settle)
        self.assertEqual(32.0, TERMS.leaving)


class ToldTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.now = 100.0
        self.useFixture(fixtures.MockPatch(
            'time.monotonic', lambda: self.now))
        self.told = told.Told(1.0)

    def assert_is(self, role, since):
        self.assertEqual((role, since), (self.told.role, self.told.since))

    def test_slave_until_it_is_told(self):
        self.now = 103.0
        self.assert_is(m.Role.SLAVE, 100.0)
        self.assertEqual(3.0, self.told.slave_for)

    def test_master_for_as_long_as_the_authority_and_a_little(self):
        self.assertTrue(self.told.hear(True, 7, 100.6))
        self.assertFalse(self.told.hear(True, 7, 102.0))
        self.now = 102.9
        self.assert_is(m.Role.MASTER, 100.0)
        self.assertEqual(0.0, self.told.slave_for)
        self.now = 105.0
        self.assert_is(m.Role.SLAVE, 103.0)
        self.assertEqual(2.0, self.told.slave_for)

    def test_end_of_the_authority_during_a_look_counts_from_there(self):
        self.told.hear(True, 7, 100.0)
        with mock.patch('time.monotonic', side_effect=(100.9, 101.1, 101.3)):
            self.assertLess(self.told.slave_for, 0.5)

    def test_being_told_late_does_not_begin_anew(self):
        self.told.hear(True, 7, 100.0)
        self.now = 105.0
        self.told.hear(False, 0, 100.0)
        self.assert_is(m.Role.SLAVE, 101.0)

    def test_a_new_epoch_begins_anew(self):
        self.told.hear(True, 7, 110.0)
        self.now = 104.0
        self.assertTrue(self.told.hear(True, 8, 110.0))
        self.assert_is(m.Role.MASTER, 104.0)

    def test_an_authority_that_comes_back_begins_anew(self):
        self.told.hear(True, 7, 100.0)
        self.now = 105.0
        self.told.hear(True, 7, 106.0)
        self.assert_is(m.Role.MASTER, 105.0)

    def test_an_old_word_makes_no_master(self):
        self.now = 105.0
        self.told.hear(True, 7, 103.0)
        self.assert_is(m.Role.SLAVE, 100.0)

    def test_an_agent_that_has_gone_says_nothing_more(self):
        self.told.listen(['{"master": true, "epoch": 7, "until": 200}'],
                         lambda: None)
        self.assertTrue(self.told.gone)
        self.told.hear(True, 7, 200.0)
        self.assertIs(m.Role.SLAVE, self.told.role)


class CloudTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        # Thousands of lines about misfortunes.
        logging.disable(logging.CRITICAL)
        self.addCleanup(logging.disable, logging.NOTSET)

    def cloud(self, seed):
        """Let a cloud have misfortunes for a minute, then some peace."""
        directory = self.useFixture(fixtures.TempDir()).path
        with mock.patch('time.monotonic') as clock:
            clock.return_value = 1000.0
            cloud = simulation.Cloud(seed, directory)
            clock.side_effect = cloud.clock
            cloud.run(60)
            if not cloud.wrong:
                cloud.calm = True
                cloud.run(20)
        return cloud


class SimulationTest(CloudTestCase):

    def test_never_two_containers_or_writers_and_one_in_the_end(self):
        starts = 0
        for seed in range(8):
            cloud = self.cloud(seed)
            self.assertEqual([], cloud.wrong, f'seed {seed}')
            self.assertTrue(cloud.holder.podman.running, f'seed {seed}')
            starts += sum(s.podman.starts for s in cloud.servers)
        # Misfortunes did not keep it from running.
        self.assertGreater(starts, 40)


@ddt.ddt
class MutantsTest(CloudTestCase):
    """Each part of the rule is needed: without it the clouds see a fault."""

    def assert_needed(self, target, name, value):
        with mock.patch.object(target, name, value):
            self.assertTrue(any(self.cloud(seed).wrong
                                for seed in range(50)), name)

    @ddt.data('hold', 'agent', 'handover', 'kill')
    def test_every_length_of_the_wait(self, name):
        settle = lease.Terms.settle.fget
        self.assert_needed(lease.Terms, 'settle', property(
            lambda terms: settle(dataclasses.replace(terms, **{name: 0.0}))))

    def test_the_kill_that_waits_for_nobody(self):
        self.assert_needed(lease, 'forfeited', lambda *_: '')

    def test_the_end_of_the_authority(self):
        self.assert_needed(told.Told, '_role', lambda self, master, *_: (
            m.Role.MASTER if master else m.Role.SLAVE))
