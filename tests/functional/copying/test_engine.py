# SPDX-License-Identifier: Apache-2.0
"""Copying between real clusters: images, streams, qcow2."""

import contextlib
import json
import os
import subprocess
import tempfile

import rados
import rbd

from cinder_tagged.copy import errors
from cinder_tagged.copy import launcher
from cinder_tagged.copy import lease as lease_mod
from cinder_tagged.copy import ledger
from cinder_tagged.copy import spec
from cinder_tagged.copy.core import record as record_mod
from cinder_tagged.copy.core.record import State
from cinder_tagged.copy.pump import Flow
from devstack.sandbox.process import wait_until
from tests.functional.copying import base

MiB = base.MiB


class EngineTest(base.CopyTestCase):

    def setUp(self):
        super().setUp()
        self.second = self.others[0]
        self.target = record_mod.seed_name(self.name)

    def job(self, source, **values):
        return spec.Job(**{
            'target': self.target, 'origin': f'test:{self.name}',
            'place': base.place(self.second, 'volumes'), 'source': source,
            'snapshot': record_mod.SEED_SNAPSHOT,
            'lease_s': base.LEASE_S, **values})

    def assert_nothing_left(self):
        self.assertEqual([], self.ours(self.second))
        self.assertIsNone(self.entry(self.second).record)
        with self.second.ioctx('volumes') as ioctx:
            self.assertNotIn(self.target, ledger.Ledger(ioctx).targets())

    def test_image_between_clusters(self):
        source = self.image(size_mib=130, data_mib=20)
        record = launcher.copy(self.job(source, flow=Flow(checksums=True)))
        self.assertEqual(State.READY, record.state)
        self.assertEqual(130 * MiB, record.size)
        # 20 blocks and two bits of a few bytes each.
        self.assertLess(record.stored, 21 * MiB)
        self.assertEqual(
            self.digest(self.first, 'images', self.name),
            self.digest(self.second, 'volumes', self.target, 'seed'))
        self.assertEqual(record, self.entry(self.second).record)

    def test_copy_of_a_clone_holds_the_parents_data(self):
        self.image(size_mib=32, data_mib=8)
        child = f'child-{self.name}'
        with self.first.ioctx('images') as images:
            rbd.RBD().clone(images, self.name, 'snap', images, child)
            self.addCleanup(self._remove_child, child)
            with rbd.Image(images, child) as image:
                image.write(b'own data', 5 * MiB)
            launcher.copy(self.job(spec.RbdImage(
                base.place(self.first, 'images'), child)))
        self.assertEqual(
            self.digest(self.first, 'images', child),
            self.digest(self.second, 'volumes', self.target))

    def _remove_child(self, child):
        with self.first.ioctx('images') as images:
            rbd.RBD().remove(images, child)

    def test_empty_and_unaligned_images(self):
        with self.first.ioctx('images') as images:
            rbd.RBD().create(images, self.name, 5 * MiB + 512)
            self.addCleanup(self._remove_image)
        source = spec.RbdImage(base.place(self.first, 'images'), self.name)
        record = launcher.copy(self.job(source))
        self.assertEqual((5 * MiB + 512, 0), (record.size, record.stored))

    def test_stream(self):
        source = self.image(size_mib=33, data_mib=5)
        with self.first.ioctx('images') as images, rbd.Image(
                images, self.name, read_only=True) as image:
            data = image.read(0, image.size())
        chunks = [data[i:i + 65536] for i in range(0, len(data), 65536)]
        record = launcher.copy(
            self.job(None, size=len(data)), data=chunks)
        self.assertLess(record.stored, 7 * MiB)
        self.assertEqual(
            self.digest(self.first, 'images', source.image),
            self.digest(self.second, 'volumes', self.target))

    def test_stream_that_breaks_off_leaves_nothing(self):
        def data():
            yield b'x' * MiB
            raise OSError('the image service went away')

        exc = self.assertRaises(errors.CopyFailed, launcher.copy,
                                self.job(None, size=8 * MiB), data())
        self.assertIn('went away', str(exc))
        self.assert_nothing_left()

    def test_stream_of_another_size_leaves_nothing(self):
        for sent in (1, 9):
            self.assertRaises(
                errors.CopyFailed, launcher.copy,
                self.job(None, size=8 * MiB), [b'x' * (sent * MiB)])
            self.assert_nothing_left()

    def test_missing_original_leaves_nothing(self):
        source = spec.RbdImage(base.place(self.first, 'images'), 'nothing')
        exc = self.assertRaises(errors.CopyFailed, launcher.copy,
                                self.job(source))
        self.assertIn('images/nothing', str(exc))
        self.assert_nothing_left()

    def test_no_room(self):
        source = self.image(size_mib=32, data_mib=8)
        exc = self.assertRaises(errors.NoRoom, launcher.copy,
                                self.job(source, room=4 * MiB))
        self.assertGreaterEqual(exc.need, 8 * MiB)
        self.assert_nothing_left()

    def test_too_large_for_the_volume(self):
        source = self.image(size_mib=32, data_mib=1)
        exc = self.assertRaises(errors.UnsafeImage, launcher.copy,
                                self.job(source, limit=31 * MiB))
        self.assertIn('does not fit', str(exc))
        self.assert_nothing_left()

    def test_stranger_under_the_name_is_not_touched(self):
        source = self.image(size_mib=8, data_mib=1)
        with self.second.ioctx('volumes') as ioctx:
            rbd.RBD().create(ioctx, self.target, MiB)
        exc = self.assertRaises(errors.CopyFailed, launcher.copy,
                                self.job(source))
        self.assertIn('no copy made it', str(exc))
        self.assertEqual([self.target], self.ours(self.second))

    def test_cancel_leaves_nothing(self):
        source = self.image(size_mib=2048, data_mib=256)
        worker = launcher.Worker(self.job(source))
        wait_until(lambda: self.ours(self.second), 60, 'copy begun')
        worker.cancel()
        self.assertRaises(errors.CopyCancelled, worker.wait)
        self.assert_nothing_left()
        self.assertEqual([self.name], self.ours(self.first, 'images'))

    def test_service_that_dies_leaves_nothing(self):
        source = self.image(size_mib=2048, data_mib=256)
        worker = launcher.Worker(self.job(source))
        wait_until(lambda: self.ours(self.second), 60, 'copy begun')
        # What the kernel does with the pipes of a killed service.
        worker.process.stdin.close()
        self.assertRaises(errors.CopyCancelled, worker.wait)
        self.assert_nothing_left()

    def test_two_at_once(self):
        source = self.image(size_mib=512, data_mib=128)
        one = launcher.Worker(self.job(source))
        wait_until(lambda: self.ours(self.second), 60, 'copy begun')
        other = launcher.Worker(self.job(source))
        self.assertRaises(errors.LeaseHeld, other.wait)
        done = record_mod.load(one.wait())
        again = launcher.copy(self.job(source))
        self.assertEqual(done, again)

    # -- qcow2 --------------------------------------------------------------

    def _qcow2(self, *options):
        """Return the bytes of a qcow2 and of what it holds."""
        with tempfile.TemporaryDirectory() as directory:
            raw = os.path.join(directory, 'raw')
            with open(raw, 'wb') as file:
                file.truncate(48 * MiB)
                file.write(os.urandom(3 * MiB))
                file.seek(20 * MiB)
                file.write(os.urandom(2 * MiB))
            qcow2 = os.path.join(directory, 'qcow2')
            subprocess.run(['qemu-img', 'convert', '-O', 'qcow2', *options,
                            raw, qcow2], check=True, timeout=60)
            with open(raw, 'rb') as file, open(qcow2, 'rb') as other:
                return other.read(), file.read()

    def _check_converted(self, record, content):
        self.assertEqual(len(content), record.size)
        with self.second.ioctx('volumes') as ioctx, rbd.Image(
                ioctx, self.target, read_only=True) as image:
            self.assertEqual(content, image.read(0, image.size()))
            stored = []
            image.diff_iterate(0, image.size(), None,
                               lambda o, length, e: stored.append(length))
        self.assertLess(sum(stored), 20 * MiB)
        self.assertEqual([self.target], self.ours(self.second))

    def test_qcow2_in_rbd(self):
        data, content = self._qcow2('-c')
        with self.first.ioctx('images') as images:
            rbd.RBD().create(images, self.name, len(data))
            self.addCleanup(self._remove_image)
            with rbd.Image(images, self.name) as image:
                image.write(data, 0)
                image.create_snap('snap')
        record = launcher.copy(self.job(
            spec.RbdImage(base.place(self.first, 'images'), self.name,
                          'snap'), format=spec.Format.QCOW2))
        self._check_converted(record, content)

    def test_qcow2_stream(self):
        data, content = self._qcow2()
        record = launcher.copy(
            self.job(None, size=len(data), format=spec.Format.QCOW2),
            [data])
        self._check_converted(record, content)

    def test_qcow2_that_reads_files_is_refused(self):
        data, _content = self._qcow2()
        with tempfile.NamedTemporaryFile(suffix='.qcow2') as file:
            file.write(data)
            file.flush()
            subprocess.run(
                ['qemu-img', 'rebase', '-u', '-F', 'raw', '-b',
                 '/etc/passwd', '-f', 'qcow2', file.name], check=True,
                timeout=60)
            with open(file.name, 'rb') as bad:
                data = bad.read()
        exc = self.assertRaises(
            errors.UnsafeImage, launcher.copy,
            self.job(None, size=len(data), format=spec.Format.QCOW2),
            [data])
        self.assertIn('backing_file', str(exc))
        self.assert_nothing_left()

    def test_what_only_claims_to_be_qcow2_is_refused(self):
        exc = self.assertRaises(
            errors.UnsafeImage, launcher.copy,
            self.job(None, size=MiB, format=spec.Format.QCOW2),
            [b'x' * MiB])
        self.assertIn('says otherwise', str(exc))
        self.assert_nothing_left()


class LeaseTest(base.CopyTestCase):

    def setUp(self):
        super().setUp()
        self.oid = ledger.oid(self.name)
        self.addCleanup(self._remove)

    def _remove(self):
        with self.first.ioctx('volumes') as ioctx, contextlib.suppress(
                rados.ObjectNotFound):
            ioctx.remove_object(self.oid)

    def _lease(self, ioctx, cookie, seconds=60):
        return lease_mod.Lease(ioctx, self.oid, cookie, 'test', seconds)

    def test_one_holder(self):
        with self.first.ioctx('volumes', 'cinder') as one, \
                self.first.ioctx('volumes', 'cinder') as two:
            self.assertFalse(lease_mod.held(two, self.oid))
            lease = self._lease(one, 'a')
            lease.take()
            self.assertTrue(lease_mod.held(two, self.oid))
            self.assertRaises(errors.LeaseHeld, self._lease(two, 'a').take)
            self.assertRaises(errors.LeaseHeld, self._lease(one, 'b').take)
            lease.renew()
            lease.release()
            lease.release()
            self.assertFalse(lease_mod.held(two, self.oid))
            self._lease(two, 'b').take()

    def test_a_lapsed_lease_writes_nothing(self):
        record = record_mod.Record(
            self.name, State.COPYING, 'x', '', 1,
            record_mod.Copier('h', 1, 'a'), 0.0)
        with self.first.ioctx('volumes', 'cinder') as one, \
                self.first.ioctx('volumes', 'cinder') as two:
            lease = self._lease(one, 'a', seconds=1)
            lease.take()
            ledger.Ledger(one).write(record, lease)
            wait_until(lambda: not lease_mod.held(two, self.oid), 60,
                       'lease lapsed')
            self.assertRaises(errors.LeaseLost, lease.renew)
            self.assertRaises(
                errors.LeaseLost, ledger.Ledger(one).write,
                record.in_state(State.READY), lease)
            other = self._lease(two, 'b')
            other.take()
            self.assertRaises(
                errors.LeaseLost, ledger.Ledger(one).write,
                record.in_state(State.READY), lease)
            self.assertEqual(
                record, ledger.Ledger(two).read(self.name).record)
            self.assertRaises(errors.LeaseLost,
                              ledger.Ledger(one).forget, self.name, lease)

    def test_touch_makes_no_entries(self):
        with self.first.ioctx('volumes', 'cinder') as ioctx:
            with contextlib.suppress(rados.Error):
                ledger.Ledger(ioctx).touch(self.name, 5.0)
            self.assertRaises(rados.ObjectNotFound, ioctx.stat, self.oid)

    def test_a_damaged_record_names_the_object(self):
        with self.first.ioctx('volumes', 'cinder') as ioctx:
            with rados.WriteOpCtx() as op:
                ioctx.set_omap(op, ('record',), (json.dumps(
                    {'version': 99}).encode(),))
                ioctx.operate_write_op(op, self.oid)
            exc = self.assertRaises(errors.CopyFailed,
                                    ledger.Ledger(ioctx).read, self.name)
            self.assertIn(self.oid, str(exc))
