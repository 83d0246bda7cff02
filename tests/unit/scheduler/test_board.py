# SPDX-License-Identifier: Apache-2.0
import threading

import ddt
from oslotest import base

from cinder_tagged import features
from cinder_tagged import placement
from cinder_tagged.scheduler import board as board_mod


def pool(name='a', tags='ssd', weight=1.0, **values):
    values.setdefault('total_gb', 1000.0)
    values.setdefault('free_gb', 1000.0)
    return placement.Pool(
        name, features.SecondLevelFeature(
            name, features.Cluster(f'fsid-{name}', name, 'vols'),
            features.parse_tags(tags), weight),
        thin=True, max_over_subscription_ratio=20.0, **values)


@ddt.ddt
class TestCounting(base.BaseTestCase):
    """What is pending beside the database's count."""

    def setUp(self):
        super().setUp()
        self.now = 100.0
        self.board = board_mod.Board(placement.get_policy('proportional'),
                                     lambda: self.now)
        self.board.put(pool())

    def held(self):
        found = self.board.pools()[0]
        return found.allocated_gb, found.pending_gb

    def count(self, total, by_database=True):
        self.board.put(pool(allocated_gb=total),
                       self.board.begin_count('a', by_database))

    def test_a_written_placement_moves_into_the_count(self):
        self.board.consume('a', 10, lambda: True)
        self.assertEqual((0, 10), self.held())
        self.count(10)
        self.assertEqual((10, 0), self.held())

    def test_an_unwritten_placement_stays_pending(self):
        written = []
        self.board.consume('a', 10, lambda: bool(written))
        self.count(0)
        self.assertEqual((0, 10), self.held())
        written.append(True)
        self.count(10)
        self.assertEqual((10, 0), self.held())

    def test_a_placement_written_during_the_count_stays_pending(self):
        written = []
        self.board.consume('a', 10, lambda: bool(written))
        count = self.board.begin_count('a')
        written.append(True)
        self.board.put(pool(allocated_gb=0), count)
        self.assertEqual((0, 10), self.held())

    def test_a_placement_during_the_count_stays_pending(self):
        count = self.board.begin_count('a')
        self.board.consume('a', 10, lambda: True)
        self.board.put(pool(allocated_gb=0), count)
        self.assertEqual((0, 10), self.held())

    @ddt.data((None, board_mod.SETTLE), (lambda: False, board_mod.GIVE_UP))
    @ddt.unpack
    def test_time_settles_what_nobody_vouches_for(self, written, seconds):
        self.board.consume('a', 10, written)
        self.now += seconds
        self.count(0)
        self.assertEqual((0, 10), self.held())
        self.now += 1
        self.count(10)
        self.assertEqual((10, 0), self.held())

    def test_the_services_own_count_comes_later_than_the_databases(self):
        self.board.consume('a', 10, lambda: True)
        self.count(0, by_database=False)
        self.assertEqual((0, 10), self.held())
        self.now += board_mod.SETTLE + 1
        self.count(10, by_database=False)
        self.assertEqual((10, 0), self.held())

    def test_the_older_of_two_counts_does_not_win(self):
        older = self.board.begin_count('a')
        newer = self.board.begin_count('a')
        self.board.put(pool(allocated_gb=20), newer)
        self.board.put(pool(allocated_gb=10), older)
        self.assertEqual((20, 0), self.held())

    def test_taking_back_a_placement(self):
        self.board.consume('a', 10, lambda: True)
        self.board.consume('a', 5, lambda: True)
        self.board.revert('a', 10)
        self.assertEqual((0, 5), self.held())

    def test_taking_back_what_the_count_includes(self):
        self.board.consume('a', 10, lambda: True)
        self.count(10)
        self.board.revert('a', 10)
        self.assertEqual((10, -10), self.held())
        self.count(0)
        self.assertEqual((0, 0), self.held())

    def test_taking_back_what_another_scheduler_placed(self):
        self.board.schedulers = 2
        self.board.revert('a', 10)
        self.assertEqual((0, 0), self.held())

    def test_unknown_backends_are_ignored(self):
        self.board.consume('x', 1)
        self.board.revert('x', 1)
        self.board.drop('x')
        self.assertEqual({}, self.board.judge(placement.Request(1), ['x']))

    def test_withdrawn_until_restored_and_reported(self):
        def best():
            return self.board.best(placement.Request(1), 9)
        self.board.withdraw('a', 'gone')
        self.assertEqual([], best())
        self.count(0)
        self.assertEqual([], best())
        self.board.restore('a')
        self.count(0)
        self.assertEqual(['a'], best())


class TestThreads(base.BaseTestCase):

    def test_placements_reports_and_questions_at_once(self):
        board = board_mod.Board(placement.get_policy('proportional'))
        names = [f'b{n}' for n in range(12)]
        for name in names:
            board.put(pool(name, 'ssd' if name < 'b4' else 'hdd'))
        ssd = placement.Request(1, features.parse_expression('ssd'))
        failures = []
        barrier = threading.Barrier(6)

        def guarded(work):
            barrier.wait(30)
            try:
                for turn in range(150):
                    work(turn)
            except Exception as error:
                failures.append(error)

        def place(turn):
            found = board.best(ssd, 1)[0]
            board.consume(found, 1, lambda: False)

        def report(turn):
            name = names[turn % len(names)]
            board.put(pool(name, 'ssd' if name < 'b4' else 'hdd',
                           weight=1.0 + turn % 3),
                      board.begin_count(name))

        def ask(turn):
            board.judge(ssd, names)
            board.best(ssd, 99)
            placement.decide(ssd, board.pools(), board.policy)

        works = [place, place, place, report, report, ask]
        threads = [threading.Thread(target=guarded, args=(work,))
                   for work in works]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        self.assertEqual([], failures)
        self.assertEqual(450, sum(p.pending_gb for p in board.pools()))
        self.assertEqual(0, sum(p.pending_gb for p in board.pools()
                                if 'hdd' in p.feature.words))
