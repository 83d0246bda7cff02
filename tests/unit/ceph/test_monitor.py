# SPDX-License-Identifier: Apache-2.0

import threading
import time

from oslotest import base

from cinder_tagged.ceph import monitor as monitor_mod
from cinder_tagged.ceph import probe

WAIT = 30
UP, AWAY, NO = (probe.State.UP, probe.State.UNREACHABLE,
                probe.State.REFUSED)


class MonitorTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.state = UP
        self.age = 0.0
        self.changes = []
        self.seen = threading.Semaphore(0)

    def probe(self):
        return probe.Sample(self.state, time.monotonic() - self.age,
                            reason='' if self.state is UP else 'because')

    def changed(self, before, after):
        self.changes.append((before and before.state, after.state))
        self.seen.release()

    def make(self, **kwargs):
        monitor = monitor_mod.Monitor(
            self.probe, interval_s=0.01, stale_s=60, changed=self.changed,
            **kwargs)
        self.addCleanup(monitor.stop, WAIT)
        return monitor

    def test_tells_changes_only(self):
        monitor = self.make()
        for self.state in (UP, UP, AWAY, AWAY, NO, UP):
            monitor.check()
        self.assertEqual([(None, UP), (UP, AWAY), (AWAY, NO), (NO, UP)],
                         self.changes)

    def test_tells_the_first_news_after_a_standstill(self):
        monitor = self.make()
        self.age = 61
        monitor.check()
        self.age = 0
        monitor.check()
        monitor.check()
        self.assertEqual([(None, UP), (UP, UP)], self.changes)

    def test_fault(self):
        monitor = self.make()
        self.assertEqual('', monitor.fault())
        for self.state, fault in ((UP, ''), (AWAY, 'because'), (NO, '')):
            monitor.check()
            self.assertEqual(fault, monitor.fault())

    def test_old_news_is_no_news(self):
        monitor = self.make()
        self.state, self.age = AWAY, 61
        monitor.check()
        self.assertEqual('', monitor.fault())
        self.assertTrue(monitor.stale)
        self.age = 0
        monitor.check()
        self.assertFalse(monitor.stale)

    def test_watches_by_itself(self):
        monitor = self.make()
        monitor.start()
        self.assertTrue(self.seen.acquire(timeout=WAIT))
        self.state = AWAY
        self.assertTrue(self.seen.acquire(timeout=WAIT))
        self.assertEqual([(None, UP), (UP, AWAY)], self.changes)

    def test_outlives_its_callbacks(self):
        ticks = threading.Semaphore(0)

        def tick():
            ticks.release()
            raise RuntimeError('a fault in housekeeping')

        self.make(tick=tick).start()
        for _ in range(3):
            self.assertTrue(ticks.acquire(timeout=WAIT))

    def test_stop(self):
        monitor = self.make()
        monitor.start()
        monitor.stop(WAIT)
        self.assertNotIn('monitor-cluster',
                         [t.name for t in threading.enumerate()])
