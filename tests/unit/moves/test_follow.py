# SPDX-License-Identifier: Apache-2.0

import ddt
from oslotest import base

from cinder_tagged.moves import follow
from cinder_tagged.moves import model
from cinder_tagged.moves import obstacles
from cinder_tagged.moves import show
from tests.unit.moves import clouds

OLD, NEW = 'n1@old#volumes', 'n1@new#volumes'
State = model.State


def move(state=State.MOVING, target=NEW, number=1, size=10, began=100.0):
    return model.Move(f'v{number}', '', size, OLD, target, state,
                      began=began)


@ddt.ddt
class LookTest(base.BaseTestCase):

    @ddt.data(
        (None, State.GONE), (('old', 'starting'), State.MOVING),
        (('old', 'migrating'), State.MOVING),
        (('new', 'completing'), State.MOVING),
        (('new', 'success'), State.MOVED), (('new', ''), State.MOVED),
        (('third', 'success'), State.GONE), (('old', 'error'), State.FAILED))
    @ddt.unpack
    def test_by_what_cinder_says(self, seen, expected):
        volume = seen and clouds.volume(1, seen[0], migration=seen[1])
        self.assertEqual(expected, follow.look(move(), volume, 200.0)[0])

    @ddt.data((130.0, 1, State.MOVING), (200.0, 1, State.PLANNED),
              (200.0, 2, State.FAILED))
    @ddt.unpack
    def test_request_that_cinder_never_noted(self, now, asked, expected):
        waiting = move()
        waiting.asked = asked
        self.assertEqual(expected, follow.look(
            waiting, clouds.volume(1, 'old'), now)[0])

    def test_name_of_the_target_without_pool(self):
        self.assertEqual(State.MOVED, follow.look(
            move(target='n1@new'), clouds.volume(1, 'new'), 200.0)[0])

    @ddt.data((None, 'the volume was deleted meanwhile'),
              (('third', ''), 'it is on n1@third#volumes now'),
              (('', ''), 'it is on no backend now'),
              (('old', 'it is in-use'), 'it is in-use'), (('old', ''), ''))
    @ddt.unpack
    def test_may_begin(self, seen, expected):
        volume = seen and clouds.volume(1, seen[0], obstacle=seen[1])
        self.assertEqual((not expected, expected), follow.may_begin(
            move(State.PLANNED), volume))

    def test_next_moves_spread_over_destinations(self):
        moves = [move(target='n1@a#v'),
                 move(State.PLANNED, 'n1@a#v', 2),
                 move(State.PLANNED, 'n1@a#v', 3),
                 move(State.PLANNED, 'n1@b#v', 4),
                 move(State.FAILED, 'n1@c#v', 5)]
        self.assertEqual(['v4', 'v2'], [
            m.volume for m in follow.next_moves(moves, 3)])
        self.assertEqual([], follow.next_moves(moves, 1))


@ddt.ddt
class ObstacleTest(base.BaseTestCase):

    @ddt.data(
        ({}, 0, ''),
        ({'status': 'error'}, 0, 'it is error'),
        ({'migration_status': 'migrating'}, 0, 'moved already'),
        ({'migration_status': 'error'}, 0, ''),
        ({'status': 'in-use', 'attachments': [{'server_id': 's7'}]}, 0,
         'attached to server s7;'),
        ({'attachments': [{'server_id': None}]}, 0, 'attached;'),
        ({}, 1, '1 snapshot,'), ({}, 2, '2 snapshots,'),
        ({'metadata': {'glance_image_id': 'i3'}}, 1, 'image i3'),
        ({'group_id': 'g'}, 0, 'group'),
        ({'consistencygroup_id': 'g'}, 0, 'group'),
        ({'replication_status': 'enabled'}, 0, 'replicated'),
        ({'replication_status': 'disabled'}, 0, ''))
    @ddt.unpack
    def test_table(self, values, snapshots, expected):
        found = obstacles.obstacle({'status': 'available'} | values,
                                   snapshots)
        self.assertEqual(bool(expected), bool(found))
        self.assertIn(expected, found)


class ShowTest(base.BaseTestCase):

    def test_bar(self):
        plan = model.Plan('drain old', [
            move(State.MOVED, size=30), move(State.MOVING, number=2),
            move(State.PLANNED, number=3, began=0)])
        plan.moves[0].ended = 130.0
        self.assertEqual(
            '[##################............]  60%, 1 of 3 moved, 30 of 50 '
            'GiB, 1 under way, about 20 s left', show.bar(plan, 130.0))

    def test_plan_names_what_stays(self):
        plan = model.Plan(
            'drain old', [move(State.FAILED)],
            [model.Left('v2', 'two', 5, OLD, 'it is in-use')], [],
            [model.Share('old', 0, 15, 5), model.Share('new', 2, 0, 10)])
        plan.moves[0].why = 'no way'
        text = show.plan(plan)
        self.assertIn('drain old: 1 volume to move, 10 GiB', text)
        self.assertIn('failed  no way', text)
        self.assertIn('it is in-use', text)
        self.assertRegex(text, r'new +2 +0 +10 +0 +5')
        self.assertRegex(text, r'old +0 +15 +5 +- +-')

    def test_volumes_that_take_no_part_are_counted(self):
        plan = model.Plan('rebalance', [], aside=[
            model.Left('v2', 'two', 5, OLD, 'it is in-use')])
        self.assertIn('1 volume cannot be moved and took no part (--all',
                      show.plan(plan))
        self.assertIn('it is in-use', show.plan(plan, everything=True))

    def test_long_plans_are_cut(self):
        plan = model.Plan('drain old', [
            move(number=n) for n in range(50)])
        self.assertIn('... and 10 more (--all shows them)', show.plan(plan))
        self.assertNotIn('more', show.plan(plan, everything=True))
