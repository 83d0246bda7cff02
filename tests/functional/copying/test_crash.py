# SPDX-License-Identifier: Apache-2.0
"""Copiers that are killed, paused, or lose their cluster."""

import contextlib
import os
import random
import signal
import time

import rbd

from cinder_tagged.ceph.connection import Identity
from cinder_tagged.ceph.connection import Timeouts
from cinder_tagged.copy import errors
from cinder_tagged.copy import launcher
from cinder_tagged.copy import lease as lease_mod
from cinder_tagged.copy import ledger
from cinder_tagged.copy import spec
from cinder_tagged.copy.core import record as record_mod
from cinder_tagged.copy.core.record import State
from devstack.sandbox.process import wait_until
from tests.functional.copying import base

# Random points of a copy at which its process is killed.
POINTS = 40 if os.environ.get('CINDER_TAGGED_FULL') else 10


class CrashTest(base.CopyTestCase):

    def setUp(self):
        super().setUp()
        self.second = self.others[0]
        self.target = record_mod.seed_name(self.name)
        self.source = self.image(size_mib=512, data_mib=96)
        self.expected = self.digest(self.first, 'images', self.name)
        self.seeds = base.seeds_of(self.second)

    def _worker(self, place=None):
        worker = launcher.Worker(spec.Job(
            self.target, place or base.place(self.second, 'volumes'),
            'test', source=self.source,
            snapshot=record_mod.SEED_SNAPSHOT, lease_s=base.LEASE_S,
            replace=True))
        self.addCleanup(self._end, worker)
        return worker

    def _end(self, worker):
        worker.process.kill()
        worker.process.wait(60)

    def _duration(self):
        """Make the seed once; return how long that took, then undo it."""
        began = time.monotonic()
        self._worker().wait()
        duration = time.monotonic() - began
        self.seeds.sweep(gone=[self.name])
        self.assertEqual([], self.ours(self.second))
        return duration

    def _check_seed(self):
        self.assertEqual(self.expected, self.digest(
            self.second, 'volumes', self.target, 'seed'))

    def _targets(self):
        with self.second.ioctx('volumes') as ioctx:
            return ledger.Ledger(ioctx).targets()

    def _sweep_leaves_no_orphan(self):
        def free():
            with self.second.ioctx('volumes') as ioctx:
                return not lease_mod.held(ioctx, ledger.oid(self.target))

        wait_until(free, 60, 'lease lapsed')
        self.seeds.sweep()
        record = self.entry(self.second).record
        if record is None:
            self.assertEqual([], self.ours(self.second))
        else:
            self.assertEqual(State.READY, record.state)

    def test_killed_at_many_points(self):
        duration = self._duration()
        rand = random.Random(7)
        for point in range(POINTS):
            worker = self._worker()
            time.sleep(rand.uniform(0.05, 1.05) * duration)
            worker.process.send_signal(signal.SIGKILL)
            worker.process.wait(60)
            record = self.entry(self.second).record
            if record is not None and record.state == State.READY:
                self._check_seed()
            if point % 2:
                self._sweep_leaves_no_orphan()
            record = self.seeds.ensure(self.original(self.source))
            self.assertEqual(State.READY, record.state)
            self._check_seed()
            self.seeds.sweep(gone=[self.name])
            self.assertEqual([], self.ours(self.second))
            self.assertNotIn(self.target, self._targets())

    def test_killed_while_it_made_the_image(self):
        worker = self._worker()
        wait_until(lambda: self.entry(self.second).record, 60, 'begun')
        worker.process.kill()
        worker.process.wait(60)
        with self.second.ioctx('volumes') as ioctx:
            with contextlib.suppress(rbd.ImageNotFound, rbd.ImageBusy):
                rbd.RBD().remove(ioctx, self.target)
            with contextlib.suppress(rbd.ImageExists):
                rbd.RBD().create(ioctx, self.target, base.MiB)
            with rbd.Image(ioctx, self.target, read_only=True) as image:
                header = f'rbd_header.{image.id()}'
            # What is there of an image before its header is.
            ioctx.remove_object(header)
        self.seeds.ensure(self.original(self.source))
        self._check_seed()

    def test_a_paused_copier_cannot_write_once_it_is_replaced(self):
        worker = self._worker()
        wait_until(lambda: self.entry(self.second).record, 60, 'begun')
        os.kill(worker.process.pid, signal.SIGSTOP)
        before = self.entry(self.second).record
        self.assertEqual(State.COPYING, before.state)
        record = self.seeds.ensure(self.original(self.source))
        self.assertEqual(before.epoch + 1, record.epoch)
        os.kill(worker.process.pid, signal.SIGCONT)
        self.assertRaises(errors.CopyError, worker.wait)
        self.assertEqual(record, self.entry(self.second).record)
        self._check_seed()

    def test_a_cluster_that_goes_away_ends_the_copy(self):
        worker = self._worker(spec.Place(
            Identity(str(self.second.conf), 'ceph', 'cinder',
                     Timeouts(5, 5, 3)), 'volumes'))
        wait_until(lambda: self.ours(self.second), 60, 'copy begun')
        self.addCleanup(self.second.wait_healthy)
        self.addCleanup(self.second.resume, 'osd')
        self.addCleanup(self.second.osd.start)
        self.second.pause('osd')
        self.assertRaises(errors.CopyError, worker.wait)
        self.second.kill('osd')
        self.second.osd.start()
        self.second.wait_healthy()
        self.seeds.ensure(self.original(self.source))
        self._check_seed()
