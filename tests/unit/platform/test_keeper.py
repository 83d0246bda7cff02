# SPDX-License-Identifier: Apache-2.0
"""Keepers of several servers against each other, turn by turn."""

import random
import time
from unittest import mock

import fixtures
from oslotest import base

from cinder_tagged.ha.platform import exceptions
from cinder_tagged.ha.platform.core import model as m
from cinder_tagged.ha.platform.core import record as rec
from tests.unit.platform import world


class KeeperTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.pool = world.Pool()
        world.Disk.formats = 0
        directory = self.useFixture(fixtures.TempDir()).path
        self.one, self.two, self.three = self.servers = [
            world.Server(f'n{i}', self.pool, directory) for i in (1, 2, 3)]

    def running(self):
        return [s.name for s in self.servers if s.podman.running]

    def writers(self):
        return [s.name for s in self.servers if s.writes]

    def test_first_start_formats_once(self):
        self.one.tell(1)
        self.one.until_running()
        self.assertEqual(['n1'], self.writers())
        self.one.turns()
        self.assertEqual((1, 1), (world.Disk.formats,
                                  self.one.podman.starts))
        self.assertIs(rec.Format.DONE, self.pool.read()[1].format)

    def test_switch_hands_the_volume_over_without_a_fence(self):
        self.one.tell(1)
        self.one.until_running()
        self.one.tell(0)
        self.one.turns()
        self.assertEqual('standing by', self.one.row)
        self.assertEqual([], self.writers())
        self.two.disk.status = {'TYPE': 'ext4'}
        self.two.tell(2)
        self.two.until_running()
        self.assertEqual((['n2'], set()), (self.writers(),
                                           self.pool.fenced))
        self.assertEqual(1, world.Disk.formats)

    def test_client_that_gave_an_io_up_is_fenced_after_a_switch(self):
        self.one.mapper.gives_up = True
        self.one.tell(1)
        self.one.until_running()
        client = self.one.mapper.client
        self.one.tell(0)
        self.one.turns()
        self.two.disk.status = {'TYPE': 'ext4'}
        self.two.tell(2)
        while not self.two.mapper.mapped:
            self.two.turn()
        self.assertEqual({client}, self.pool.fenced)
        # It has stopped; nobody waits for that.
        self.two.turns()
        self.assertEqual(['n2'], self.running())

    def test_owner_that_waited_for_another_passes_the_wait_on(self):
        self.one.tell(1)
        self.one.until_running()
        self.two.disk.status = self.one.disk.status = {'TYPE': 'ext4'}
        # The first one stands still with its container.
        self.two.tell(2)
        while self.two.disk.mounted is m.Mount.NO:
            self.two.turn()
        self.two.tell(0)
        self.two.turns()
        self.assertIsNot(rec.Stage.RELEASED, self.pool.read()[1].stage)
        self.two.keeper.hands.settled_at = 0.0
        self.two.turns(2)
        self.assertIs(rec.Stage.RELEASED, self.pool.read()[1].stage)

    def test_storage_that_was_away_is_released_with_what_to_fence(self):
        self.one.tell(1)
        self.one.until_running()
        client = self.one.mapper.client
        self.pool.failing = True
        self.one.forget()
        self.one.turns(2)
        self.pool.failing = False
        self.one.tell(0)
        self.one.turns()
        record = self.pool.read()[1]
        self.assertEqual((rec.Stage.RELEASED, (client,)),
                         (record.stage, record.fence))
        self.two.disk.status = {'TYPE': 'ext4'}
        self.two.tell(2)
        self.two.turns()
        self.assertEqual(({client}, ['n2']),
                         (self.pool.fenced, self.running()))

    def test_client_whose_io_failed_is_fenced_before_its_successor(self):
        self.one.tell(1)
        self.one.until_running()
        client = self.one.mapper.client
        self.one.disk.status = {'TYPE': 'ext4'}
        self.one.disk.mounted = m.Mount.READ_ONLY
        while self.one.mapper.client == client:
            self.one.turn()
        self.assertEqual({client}, self.pool.fenced)
        self.one.until_running()

    def test_dead_owner_is_fenced_before_anything_is_mapped(self):
        self.one.tell(1)
        self.one.until_running()
        client = self.one.mapper.client
        self.two.disk.status = {'TYPE': 'ext4'}
        self.two.tell(2)
        while not self.two.mapper.mapped:
            self.two.turn()
        self.assertEqual({client}, self.pool.fenced)
        while self.two.disk.mounted is m.Mount.NO:
            self.two.turn()
        self.two.turns(3)
        self.assertEqual('mounted, waiting', self.two.row)
        self.assertFalse(self.two.podman.running)
        # The owner before comes back, and stops by itself.
        self.one.turns(3)
        self.assertEqual([], self.running())
        self.two.until_running()
        self.assertEqual((['n2'], ['n2']), (self.running(), self.writers()))

    def test_owner_that_stood_still_before_confirming_never_mounts(self):
        self.one.tell(1)
        while not self.one.mapper.mapped:
            self.one.turn()
        self.two.tell(2)
        self.two.until_running()
        self.one.turns()
        self.assertEqual(['n2'], self.writers())
        self.assertIs(m.Mount.NO, self.one.disk.mounted)

    def test_lost_storage_stops_everything_here(self):
        self.one.tell(1)
        self.one.until_running()
        client = self.one.mapper.client
        self.pool.failing = True
        self.one.forget()
        self.one.turns(2)
        self.assertEqual(([], m.Mount.NO, False),
                         (self.running(), self.one.disk.mounted,
                          self.one.mapper.mapped))
        self.assertEqual('waiting for storage', self.one.row)
        self.pool.failing = False
        self.one.disk.status = {'TYPE': 'ext4'}
        self.one.until_running()
        # Its own writes that were in flight must not land any more.
        self.assertIn(client, self.pool.fenced)

    def test_cut_that_fails_does_not_keep_the_container_alive(self):
        self.one.tell(1)
        self.one.until_running()
        self.pool.failing = True
        self.one.forget()
        with mock.patch.object(self.one.mapper, 'cut', side_effect=(
                exceptions.PlatformError('rbd-fuse survives SIGKILL'))):
            self.one.turn()
            self.assertEqual([], self.running())
            # The mapping is still there to be cut off.
            self.assertTrue(self.one.mapper.mapped)
        self.one.turns(2)
        self.assertFalse(self.one.mapper.mapped)

    def test_who_comes_back_claims_for_its_new_epoch(self):
        self.one.tell(1)
        self.one.until_running()
        # Another may have been master, and be about to claim.
        self.one.tell(3)
        self.one.turn()
        self.assertEqual(('not ours yet', False, []), (
            self.one.row, self.one.mapper.mapped, self.running()))
        self.one.disk.status = {'TYPE': 'ext4'}
        self.one.turns(8)
        self.assertEqual((['n1'], 3), (self.running(),
                                       self.pool.read()[1].epoch))

    def test_epoch_that_ends_between_look_and_step_starts_nothing(self):
        self.one.tell(1)
        while self.one.disk.mounted is m.Mount.NO:
            self.one.turn()
        look = self.one.keeper.observe

        def slow():
            seen = look()
            self.one.tell(3)
            return seen
        self.one.keeper.observe = slow
        self.one.turns(3)
        self.assertEqual(0, self.one.podman.starts)

    def test_authority_that_is_back_in_a_moment_stops_nothing(self):
        self.one.tell(1)
        self.one.until_running()
        self.one.tell(1, until=time.monotonic())
        self.one.turns(2)
        self.one.tell(1)
        self.one.turns()
        self.assertEqual((['n1'], 1),
                         (self.running(), self.one.podman.starts))

    def test_silence_of_the_agent_makes_a_slave(self):
        self.one.tell(1)
        self.one.until_running()
        self.one.tell(1, until=0.0)
        self.one.turns()
        self.assertEqual([], self.running())
        self.assertIs(rec.Stage.RELEASED, self.pool.read()[1].stage)

    def test_failed_fence_is_not_taken_for_done(self):
        self.one.tell(1)
        self.one.until_running()
        client, fence = self.one.mapper.client, self.pool.fence

        def broken(*args):
            raise exceptions.PlatformError('no monitor')
        self.pool.fence = broken
        self.two.tell(2)
        self.two.turns(4)
        self.assertFalse(self.two.mapper.mapped)
        self.pool.fence = fence
        self.two.disk.status = {'TYPE': 'ext4'}
        self.two.until_running()
        self.assertIn(client, self.pool.fenced)

    def test_image_that_was_replaced_is_seen_before_anything_is_mapped(self):
        self.one.turns(2)
        self.one.podman.state = m.Image.WRONG
        self.one.tell(1)
        self.one.turns()
        self.assertEqual(('wrong image', False),
                         (self.one.row, self.one.mapper.mapped))

    def test_image_that_is_replaced_late_is_not_started(self):
        self.one.tell(1)
        while self.one.disk.mounted is m.Mount.NO:
            self.one.turn()
        self.one.podman.state = m.Image.WRONG
        self.one.turns()
        self.assertEqual(('wrong image', 0),
                         (self.one.row, self.one.podman.starts))

    def test_container_that_dies_at_once_pauses_and_says_so(self):
        self.one.podman.dies = True
        self.one.tell(1)
        end = time.monotonic() + 20
        while self.one.keeper._failures < 3 and time.monotonic() < end:
            self.one.turn()
        self.assertEqual(3, self.one.keeper._failures)
        self.one.turn()
        self.assertEqual(
            ('backing off', 'the container ended by itself: exit 1'),
            (self.one.row, self.one.keeper.reporter.status['problem']))
        self.one.podman.dies = False
        self.one.until_running()

    def test_corrupt_file_system_is_neither_mounted_nor_formatted(self):
        self.one.disk.status = {'TYPE': 'ext4'}
        self.one.disk.checked = m.FileSystem.CORRUPT
        self.one.tell(1)
        self.one.turns()
        self.assertEqual(('corrupt', m.Mount.NO, 0), (
            self.one.row, self.one.disk.mounted, world.Disk.formats))

    def test_vanished_file_system_is_not_formatted_again(self):
        self.one.tell(1)
        self.one.until_running()
        self.one.tell(0)
        self.one.turns()
        self.two.tell(2)  # blkid finds nothing there
        self.two.turns()
        self.assertEqual(('corrupt', 1), (self.two.row, world.Disk.formats))

    def test_never_two_writers_in_any_order(self):
        """Masters change, servers stand still and come back at random."""
        dice = random.Random(6)
        for server in self.servers:
            server.disk.status = {'TYPE': 'ext4'}
        epoch = 0
        for _ in range(3000):
            if dice.random() < 0.02:
                epoch += 1
                dice.choice(self.servers).tell(epoch)
            if dice.random() < 0.02:
                dice.choice(self.servers).tell(0)
            server = dice.choice(self.servers)
            kind = dice.random()
            if kind < 0.3:
                server.check()
            elif kind < 0.4:
                server.keeper._watch()
            else:
                server.keeper.turn()
            self.assertLessEqual(len(self.writers()), 1)
        self.assertGreater(epoch, 20)
