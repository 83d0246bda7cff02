# SPDX-License-Identifier: Apache-2.0
"""What travels between a service and its worker."""

import io
import json

from hypothesis import given
from hypothesis import HealthCheck
from hypothesis import settings
from hypothesis import strategies as st
from oslotest import base

from cinder_tagged.ceph.connection import Identity
from cinder_tagged.ceph.connection import Timeouts
from cinder_tagged.copy import convert
from cinder_tagged.copy import errors
from cinder_tagged.copy import frames
from cinder_tagged.copy import spec
from cinder_tagged.copy.core.extents import Extent
from cinder_tagged.copy.pump import Flow

# A busy machine is no failure.
_PATIENT = settings(deadline=None, max_examples=60,
                    suppress_health_check=[HealthCheck.too_slow])

PLACE = spec.Place(Identity('/etc/ceph/b.conf', 'ceph', 'cinder',
                            Timeouts(1, 2, 3)), 'volumes')


class FramesTest(base.BaseTestCase):

    @_PATIENT
    @given(st.lists(st.binary(max_size=40), max_size=8))
    def test_what_is_sent_arrives(self, chunks):
        pipe = io.BytesIO()
        frames.send(pipe, chunks)
        pipe.seek(0)
        self.assertEqual(b''.join(chunks), b''.join(frames.receive(pipe)))

    def test_a_sender_that_dies_is_no_end(self):
        pipe = io.BytesIO()
        frames.send(pipe, [b'12345'])
        for length in range(len(pipe.getvalue())):
            cut = io.BytesIO(pipe.getvalue()[:length])
            self.assertRaises(errors.CopyCancelled, list,
                              frames.receive(cut))

    @_PATIENT
    @given(st.lists(st.binary(max_size=40), max_size=8),
           st.integers(1, 25))
    def test_blocks(self, chunks, block):
        data = b''.join(chunks)
        offset = 0
        for extent, part in frames.blocks(chunks, len(data), block):
            self.assertEqual(Extent(offset, len(part)), extent)
            self.assertEqual(data[offset:offset + len(part)], part)
            offset = extent.end
            self.assertTrue(len(part) == block or offset == len(data))
        self.assertEqual(len(data), offset)

    def test_blocks_of_another_size(self):
        for size in (5, 7):
            self.assertRaises(errors.CopyFailed, list,
                              frames.blocks([b'123456'], size, 4))


class SpecTest(base.BaseTestCase):

    def test_job(self):
        job = spec.Job(
            'seed-i', PLACE, 'rbd://x', digest='d', size=5,
            source=spec.RbdImage(PLACE, 'img', 'snap'),
            format=spec.Format.QCOW2, room=9, flow=Flow(checksums=True))
        self.assertEqual(job, spec.load(job.dump()))
        self.assertNotIn('\n', job.dump())

    def test_chore(self):
        chore = spec.Chore(PLACE, ('a', 'b'), limit=5)
        self.assertEqual(chore, spec.load(chore.dump()))

    def test_lines(self):
        line = spec.Line(spec.Answer.PROGRESS, 'x\ny', numbers=(1, 2, 3))
        self.assertEqual(line, spec.load_line(line.dump()))
        swept = spec.Swept(orphans=('a',), trash=2)
        self.assertEqual(swept, spec.load_swept(swept.dump()))

    def test_damage(self):
        for line in ('', '{}', '{"task": "copy"}'):
            self.assertRaises(ValueError, spec.load, line)
            self.assertRaises(ValueError, spec.load_line, line)

    def test_errors_keep_their_class(self):
        for name, kind in errors.KINDS.items():
            text = '12' if name == 'NoRoom' else 'why'
            self.assertEqual(text, str(kind(text)))


class ConvertTest(base.BaseTestCase):

    def test_names_cannot_be_read_as_options(self):
        source = spec.RbdImage(PLACE, 'a:conf=/x,@b', 'snap')
        argv = convert.command(source, spec.RbdImage(PLACE, 'seed-i'), 4)
        qcow2 = json.loads(argv[-2].removeprefix('json:'))
        self.assertEqual(
            {'driver': 'qcow2', 'backing': None,
             'file': {'driver': 'rbd', 'pool': 'volumes',
                      'image': 'a:conf=/x,@b', 'snapshot': 'snap',
                      'conf': '/etc/ceph/b.conf', 'user': 'cinder'}}, qcow2)

    def test_qemu_img_ends_with_the_worker(self):
        argv = convert.command(spec.RbdImage(PLACE, 'i'),
                               spec.RbdImage(PLACE, 'seed-i'), 4)
        self.assertEqual(['--pdeathsig', 'KILL', 'qemu-img'], argv[1:4])
