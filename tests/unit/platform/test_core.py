# SPDX-License-Identifier: Apache-2.0
"""Record, pauses and file systems of a platform."""

import ddt
from oslotest import base

from cinder_tagged.ha.platform.core import filesystem
from cinder_tagged.ha.platform.core import model as m
from cinder_tagged.ha.platform.core import pausing
from cinder_tagged.ha.platform.core import record as rec


def owned(**changes):
    values = dict(epoch=5, turn=1, node='n1', instance='a',
                  stage=rec.Stage.MAPPED, clients=('10.0.0.1:0/7',),
                  settle=9.0, format=rec.Format.DONE)
    return rec.Record(**{**values, **changes})


class RecordTest(base.BaseTestCase):

    def test_survives_being_stored(self):
        self.assertEqual(owned(), rec.load(rec.dump(owned())))

    def test_damaged_is_refused(self):
        for text in ('{}', '{"epoch": 1}', 'x'):
            self.assertRaises(ValueError, rec.load, text)

    def test_an_older_epoch_never_claims(self):
        self.assertRaises(rec.Refused, rec.claim, owned(), 4, 'n2', 'b', 1)

    def test_another_server_never_claims_in_the_same_epoch(self):
        self.assertRaises(rec.Refused, rec.claim, owned(), 5, 'n2', 'b', 1)

    def test_a_new_keeper_takes_the_next_turn_and_fences_the_last(self):
        new = rec.claim(owned(), 5, 'n1', 'b', 1)
        self.assertEqual((5, 2, ('10.0.0.1:0/7',), ()),
                         (new.epoch, new.turn, new.fence, new.clients))

    def test_who_crashed_before_fencing_leaves_it_to_the_next(self):
        first = rec.claim(owned(), 6, 'n2', 'b', 1)
        second = rec.claim(first, 7, 'n3', 'c', 1)
        self.assertEqual(('10.0.0.1:0/7',), second.fence)

    def test_a_released_volume_needs_no_fence_and_no_wait(self):
        old = owned(stage=rec.Stage.RELEASED, clients=())
        self.assertEqual((), rec.claim(old, 6, 'n2', 'b', 1).fence)
        self.assertEqual(0.0, rec.waits(old, 3.0))
        self.assertEqual(9.0, rec.waits(owned(), 3.0))

    def test_formatted_is_never_forgotten(self):
        self.assertIs(rec.Format.DONE,
                      rec.claim(owned(), 6, 'n2', 'b', 1).format)

    def judge(self, record, quiet=0.0, **asks):
        return rec.judge(record, rec.Owner(**asks), quiet, 1.0, 20.0)

    def test_whose_it_is(self):
        other = dict(instance='b', epoch=6)
        for record, quiet, expected in (
                (owned(), 0.5, m.Claim.LEAVING),
                (owned(), 1.5, m.Claim.STALE),
                (owned(stage=rec.Stage.STOPPING), 1.5, m.Claim.LEAVING),
                (owned(stage=rec.Stage.STOPPING), 21, m.Claim.STALE),
                (owned(stage=rec.Stage.RELEASED), 0, m.Claim.FREE),
                (owned(epoch=7), 0, m.Claim.NEWER)):
            self.assertIs(expected, self.judge(record, quiet, **other))

    def test_ours_until_somebody_else_claims(self):
        mine = dict(instance='a', epoch=5, mine=(5, 1))
        self.assertIs(m.Claim.OURS, self.judge(owned(), **mine))
        taken = rec.claim(owned(), 6, 'n2', 'b', 1)
        self.assertIs(m.Claim.NEWER, self.judge(taken, **mine))

    def test_not_ours_before_the_owners_before_are_fenced(self):
        record = owned(stage=rec.Stage.CLAIMED)
        self.assertIsNot(m.Claim.OURS, self.judge(
            record, 2, instance='a', epoch=5, mine=(5, 1)))

    def test_a_former_owner_claims_again_with_a_newer_epoch(self):
        taken = rec.claim(owned(), 6, 'n2', 'b', 1)
        self.assertIs(m.Claim.STALE, self.judge(
            taken, 2, instance='a', epoch=7, mine=(5, 1)))


class PauseTest(base.BaseTestCase):

    def test_doubles_up_to_the_longest(self):
        pause = pausing.Pause(1.0, 60.0)
        self.assertEqual([0, 1, 2, 4, 8, 16, 32, 60, 60],
                         [pause.after(n) for n in range(9)])
        self.assertEqual(60.0, pause.after(10 ** 9))


@ddt.ddt
class FileSystemTest(base.BaseTestCase):

    @ddt.data(
        ({}, False, rec.Format.NONE, m.FileSystem.EMPTY),
        ({}, True, rec.Format.NONE, m.FileSystem.FOREIGN),
        ({}, True, rec.Format.BEGUN, m.FileSystem.EMPTY),
        ({}, False, rec.Format.DONE, m.FileSystem.CORRUPT),
        ({'TYPE': 'ext4'}, True, rec.Format.NONE, m.FileSystem.UNCHECKED),
        ({'TYPE': 'ext4'}, True, rec.Format.DONE, m.FileSystem.UNCHECKED),
        ({'TYPE': 'xfs'}, True, rec.Format.NONE, m.FileSystem.FOREIGN),
        ({'TYPE': 'xfs'}, True, rec.Format.DONE, m.FileSystem.CORRUPT),
        ({'PTTYPE': 'gpt'}, False, rec.Format.NONE, m.FileSystem.FOREIGN),
        (None, False, rec.Format.NONE, m.FileSystem.UNREADABLE),
        (None, True, rec.Format.BEGUN, m.FileSystem.UNREADABLE))
    @ddt.unpack
    def test_what_is_on_it(self, found, allocated, history, expected):
        self.assertIs(expected,
                      filesystem.judge(found, allocated, history))

    @ddt.data((0, m.FileSystem.SOUND), (1, m.FileSystem.SOUND),
              (2, m.FileSystem.SOUND), (4, m.FileSystem.CORRUPT),
              (5, m.FileSystem.CORRUPT), (8, m.FileSystem.UNREADABLE),
              (32, m.FileSystem.UNREADABLE))
    @ddt.unpack
    def test_what_the_check_says(self, status, expected):
        self.assertIs(expected, filesystem.after_check(status))
