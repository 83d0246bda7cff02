# SPDX-License-Identifier: Apache-2.0
"""Writing, reading, hashing and undoing, on an image in memory."""

import contextlib
import hashlib
import io
import threading

import ddt
from oslotest import base

from glance_store_ext import digests
from glance_store_ext import reading
from glance_store_ext import upload
from glance_store_ext import volumes
from glance_store_ext import writing

GIB = 1024 ** 3
MIB = 1024 ** 2


class Completion:
    """What librbd hands to a callback."""

    def __init__(self, value):
        self.value = value

    def get_return_value(self):
        return self.value


class Image:
    """A sparse image; completes writes in threads of its own."""

    def __init__(self, size=GIB, fails_at=None):
        self.length = size
        self.fails_at = fails_at
        self.data = {}
        self.under_way = 0
        self.most = 0
        self.lock = threading.Lock()

    def size(self):
        return self.length

    def resize(self, size):
        self.length = size

    def aio_write(self, data, offset, done):
        with self.lock:
            self.under_way += 1
            self.most = max(self.most, self.under_way)
        threading.Thread(target=self._complete,
                         args=(data, offset, done)).start()

    def _complete(self, data, offset, done):
        with self.lock:
            self.data[offset] = data
            self.under_way -= 1
        done(Completion(-28 if offset == self.fails_at else 0))

    def aio_read(self, offset, length, done):
        data = self.content()[offset:offset + length]
        code = -5 if offset == self.fails_at else len(data)
        threading.Thread(target=done, args=(Completion(code), data)).start()

    def content(self):
        content = bytearray(min(self.length, 64 * MIB))
        for offset, data in self.data.items():
            content[offset:offset + len(data)] = data
        return bytes(content)


class Trickle(io.BytesIO):
    """Gives less than it is asked for, as sockets do."""

    def read(self, size=-1):
        return super().read(min(size, 1_000_003))


class Updater:
    """Keeps what a hash is fed; may fail."""

    def __init__(self, fails=False):
        self.seen = b''
        self.fails = fails

    def update(self, chunk):
        if self.fails:
            raise ValueError('bad signature')
        self.seen += chunk


@ddt.ddt
class WriterTest(base.BaseTestCase):

    def test_what_is_written_can_be_read(self):
        payload = b'a' * 5 * MIB + bytes(9 * MIB) + b'b' * (3 * MIB + 7)
        image = Image()
        with writing.Writer(image, 3) as writer:
            for chunk in writing.chunks(io.BytesIO(payload)):
                writer.write(chunk)
            writer.finish()
        self.assertEqual(len(payload), writer.position)
        self.assertLess(writer.written, 13 * MIB)
        self.assertLessEqual(image.most, 3)
        self.assertEqual(payload, image.content()[:len(payload)])

    def test_unknown_length_grows_the_image(self):
        image = Image(size=GIB)
        with writing.Writer(image, 2) as writer:
            writer.position = GIB - MIB
            writer.write(b'x' * 4 * MIB)
            writer.finish()
        self.assertEqual(2 * GIB, image.size())

    def test_a_failed_write_is_told(self):
        image = Image(fails_at=4 * MIB)
        with writing.Writer(image, 2) as writer:
            writer.write(b'x' * 4 * MIB)
            writer.write(b'x' * 4 * MIB)
            error = self.assertRaises(writing.WriteFailed, writer.finish)
        self.assertTrue(writing.is_full(error))

    def test_short_reads_become_full_chunks(self):
        payload = bytes(range(256)) * 40_000
        chunks = list(writing.chunks(Trickle(payload)))
        self.assertEqual(payload, b''.join(chunks))
        self.assertEqual([writing.CHUNK] * 2, [len(c) for c in chunks[:2]])


@ddt.ddt
class ReadingTest(base.BaseTestCase):

    @ddt.data((0, 10 * MIB), (1, 10 * MIB), (4 * MIB - 1, 4 * MIB + 1),
              (5, 5))
    @ddt.unpack
    def test_range(self, begin, end):
        image = Image(size=10 * MIB)
        image.data[0] = b'ab' * 5 * MIB
        parts = list(reading._ahead(image, begin, end, 2))
        self.assertEqual(image.content()[begin:end], b''.join(parts))

    def test_a_failed_read_is_told(self):
        image = Image(size=9 * MIB, fails_at=4 * MIB)
        parts = reading._ahead(image, 0, 9 * MIB, 4)
        next(parts)
        self.assertRaises(reading.ReadFailed, next, parts)


class DigestsTest(base.BaseTestCase):

    def test_all_see_everything(self):
        md5, kept = hashlib.md5(usedforsecurity=False), Updater()
        with digests.Digests(md5, kept) as running:
            for _turn in range(20):
                running.update(b'abc')
            running.finish()
        self.assertEqual(b'abc' * 20, kept.seen)
        self.assertEqual(
            hashlib.md5(b'abc' * 20, usedforsecurity=False).digest(),
            md5.digest())

    def test_a_failing_hash_is_told_and_ends(self):
        before = threading.active_count()
        with digests.Digests(Updater(fails=True)) as running:
            running.update(b'x')
            self.assertRaises(ValueError, running.finish)
        self.assertEqual(before, threading.active_count())


class Volumes:
    """Cinder that remembers what it was asked."""

    def __init__(self, fails_at=None, gib=1):
        self.calls = []
        self.fails_at = fails_at
        self.gib = gib

    def __getattr__(self, name):
        def call(*args):
            self.calls.append(name)
            if name == self.fails_at:
                raise volumes.CinderError('failed', name)
            return {'begin': 'vol', 'snapshot': 'snap',
                    'ready': volumes.Volume('vol', self.gib, 'fsid', 'pool'),
                    }.get(name)
        return call


class Clusters:
    """One cluster with one image."""

    def __init__(self, image):
        self.the = image
        self.names = []

    @contextlib.contextmanager
    def image(self, fsid, pool, name):
        self.names.append(name)
        yield self.the


@ddt.ddt
class UploadTest(base.BaseTestCase):

    def _run(self, payload, size=0, fails_at=None, image=None, source=None,
             gib=1):
        self.volumes = Volumes(fails_at, gib)
        self.image = image or Image()
        self.clusters = Clusters(self.image)
        target = upload.Target(self.volumes, self.clusters, None,
                               ('volume-%s', 'snapshot-%s'), 4)
        with digests.Digests(Updater()) as running:
            return upload.Upload(target, 'img', size).run(
                source or io.BytesIO(payload), 'ssd', running)

    def test_known_size(self):
        place, length = self._run(b'x' * 5 * MIB, 5 * MIB)
        self.assertEqual('rbd://fsid/pool/volume-vol/snapshot-snap',
                         place.uri)
        self.assertEqual(5 * MIB, length)
        self.assertEqual(5 * MIB, self.image.size())
        self.assertEqual(['begin', 'ready', 'release', 'snapshot'],
                         self.volumes.calls)

    def test_growth_is_told_to_cinder_before_the_snapshot(self):
        image = Image(size=4 * MIB)
        _place, length = self._run(b'x' * 9 * MIB, image=image, gib=0)
        self.assertEqual(9 * MIB, length)
        self.assertEqual(9 * MIB, image.size())
        self.assertEqual(
            ['begin', 'ready', 'release', 'extend', 'snapshot'],
            self.volumes.calls)

    @ddt.data(4 * MIB, 6 * MIB)
    def test_wrong_size_leaves_nothing(self, announced):
        self.assertRaises(upload.SizeMismatch, self._run,
                          b'x' * 5 * MIB, announced)
        self.assertEqual('discard', self.volumes.calls[-1])

    @ddt.data('ready', 'release', 'snapshot')
    def test_failure_in_cinder_leaves_nothing(self, step):
        self.assertRaises(volumes.CinderError, self._run, b'x', 1, step)
        self.assertEqual('discard', self.volumes.calls[-1])

    def test_no_volume_nothing_to_remove(self):
        self.assertRaises(volumes.CinderError, self._run, b'x', 1, 'begin')
        self.assertEqual(['begin'], self.volumes.calls)

    def test_a_client_that_leaves(self):
        class Broken:
            def read(self, size):
                raise OSError('client disconnected')

        self.assertRaises(OSError, self._run, b'', 0, source=Broken())
        self.assertEqual('discard', self.volumes.calls[-1])

    def test_a_full_cluster_leaves_nothing(self):
        self.assertRaises(writing.WriteFailed, self._run, b'x' * 9 * MIB,
                          0, image=Image(fails_at=0))
        self.assertEqual('discard', self.volumes.calls[-1])
