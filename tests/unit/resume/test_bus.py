# SPDX-License-Identifier: Apache-2.0
from oslotest import base

from cinder_tagged.resume import bus


class TestBusWatch(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.now = 100.0
        self.watch = bus.BusWatch(10.0, clock=lambda: self.now)

    def test_a_bus_that_never_answered_is_not_lost(self):
        self.now += 1000
        self.assertEqual((None, None), self.watch.seen())

    def test_a_bus_is_away_once_its_last_word_is_too_old(self):
        self.watch.confirmed()
        self.now += 10
        self.assertEqual((None, 100.0), self.watch.seen())
        self.now += 1
        self.assertEqual((110.0, 100.0), self.watch.seen())
        self.watch.confirmed()
        self.assertEqual((None, 111.0), self.watch.seen())
