# SPDX-License-Identifier: Apache-2.0
from oslotest import base

from cinder_tagged.resume import bus


class TestBusWatch(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.now = 100.0
        self.watch = bus.BusWatch(10.0, clock=lambda: self.now)

    @staticmethod
    def fail():
        raise OSError

    def test_a_bus_that_was_never_asked_is_not_lost(self):
        self.now += 1000
        self.assertEqual((None, None), self.watch.seen())

    def test_time_without_a_question_does_not_count(self):
        self.watch.ask(lambda: None)
        self.now += 1000
        self.assertEqual((None, 100.0), self.watch.seen())

    def test_a_bus_is_away_once_a_question_waits_too_long(self):
        self.watch.ask(lambda: None)
        for second in (1, 9):
            self.now += second
            self.assertRaises(OSError, self.watch.ask, self.fail)
        self.assertEqual((None, 100.0), self.watch.seen())
        self.now += 2
        self.assertEqual((111.0, 100.0), self.watch.seen())
        self.watch.ask(lambda: None)
        self.assertEqual((None, 112.0), self.watch.seen())
