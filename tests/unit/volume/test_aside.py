# SPDX-License-Identifier: Apache-2.0

import threading

from oslotest import base

from cinder_tagged.volume import aside

WAIT = 30


class AsideTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.aside = aside.Aside()
        self.go = threading.Event()
        self.addCleanup(self.go.set)
        self.ended = threading.Semaphore(0)

    def chore(self):
        self.go.wait(WAIT)
        self.ended.release()

    def test_nobody_waits_and_none_runs_twice(self):
        self.assertTrue(self.aside.run('tell', self.chore))
        self.assertFalse(self.aside.run('tell', self.chore))
        self.assertTrue(self.aside.run('tidy', self.chore))
        self.go.set()
        for _ in range(2):
            self.assertTrue(self.ended.acquire(timeout=WAIT))

    def test_runs_again_after_a_failure(self):
        failed = threading.Event()

        def fail():
            failed.set()
            raise RuntimeError('the bus is out of order')

        self.go.set()
        self.aside.run('tell', fail)
        self.assertTrue(failed.wait(WAIT))
        while not self.aside.run('tell', self.chore):
            pass
        self.assertTrue(self.ended.acquire(timeout=WAIT))
