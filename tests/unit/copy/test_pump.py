# SPDX-License-Identifier: Apache-2.0
"""Moving bytes, against images in memory that answer asynchronously."""

import errno
import random
import threading

from oslotest import base

from cinder_tagged.copy import errors
from cinder_tagged.copy.core import extents
from cinder_tagged.copy.core.extents import Extent
from cinder_tagged.copy.core.progress import Progress
from cinder_tagged.copy.pump import Flow
from cinder_tagged.copy.pump import Pump

BLOCK = 1 << 16


class _Completion:

    def __init__(self, result):
        self._result = result

    def get_return_value(self):
        return self._result


class _Image:
    """An image in memory that answers from other threads, in any order."""

    def __init__(self, size=0, data=b''):
        self.data = bytearray(data or bytes(size))
        self.fail_at = None
        self.answers = True
        self.writes = 0
        self._lock = threading.Lock()
        self.in_flight = self.most_in_flight = 0

    def _later(self, work):
        with self._lock:
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)

        def run():
            with self._lock:
                self.in_flight -= 1
            work()
        if self.answers:
            threading.Timer(random.random() / 500, run).start()

    def aio_read(self, offset, length, done):
        if self.fail_at == offset:
            self._later(lambda: done(_Completion(-errno.EIO), None))
        else:
            data = bytes(self.data[offset:offset + length])
            self._later(lambda: done(_Completion(len(data)), data))

    def aio_write(self, data, offset, done):
        def write():
            self.data[offset:offset + len(data)] = data
            self.writes += 1
            done(_Completion(0))
        self._later(write)


def _portions(size):
    return list(extents.portions([Extent(0, size)], BLOCK))


class PumpTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        blocks = [random.randbytes(BLOCK) if i % 3 else bytes(BLOCK)
                  for i in range(24)]
        self.source = _Image(data=b''.join(blocks) + b'end')
        self.size = len(self.source.data)
        self.target = _Image(self.size)
        self.progress = Progress(0.0)

    def _pump(self, **flow):
        return Pump(self.target, Flow(**{'in_flight': 3, 'stall_s': 30.0,
                                         **flow}), self.progress)

    def test_copy(self):
        pump = self._pump()
        for portion in _portions(self.size):
            pump.copy(self.source, portion)
        pump.drain()
        self.assertEqual(self.source.data, self.target.data)
        self.assertEqual(self.size, self.progress.done)
        self.assertEqual(16 * BLOCK + 3, self.progress.written)
        self.assertEqual(17, self.target.writes)

    def test_no_more_in_flight_than_allowed(self):
        pump = self._pump(in_flight=3)
        for portion in _portions(self.size):
            pump.copy(self.source, portion)
        pump.drain()
        self.assertLessEqual(self.source.most_in_flight, 3)

    def test_put(self):
        pump = self._pump()
        pump.put(Extent(5, 3), b'abc')
        pump.drain()
        self.assertEqual(b'abc', bytes(self.target.data[5:8]))

    def test_failure_of_a_read_is_told(self):
        self.source.fail_at = BLOCK * 4
        pump = self._pump()

        def run():
            for portion in _portions(self.size):
                pump.copy(self.source, portion)
            pump.drain()
        exc = self.assertRaises(errors.CopyFailed, run)
        self.assertIn(str(BLOCK * 4), str(exc))

    def test_silence_is_told(self):
        self.source.answers = False
        pump = self._pump(stall_s=0.05)
        pump.copy(self.source, Extent(0, 5))
        self.assertRaises(errors.CopyStalled, pump.drain)

    def test_cancel(self):
        self.source.answers = False
        pump = self._pump()
        pump.copy(self.source, Extent(0, 5))
        pump.cancel()
        self.assertRaises(errors.CopyCancelled, pump.drain)

    def test_check_finds_what_differs(self):
        pump = self._pump(checksums=True)
        for portion in _portions(self.size):
            pump.copy(self.source, portion)
        pump.drain()
        for portion in pump.checksums:
            pump.check(portion)
        pump.drain()
        self.target.data[BLOCK * 5] ^= 1
        pump.check(Extent(BLOCK * 5, BLOCK))
        exc = self.assertRaises(errors.CopyFailed, pump.drain)
        self.assertIn('differs', str(exc))
