# SPDX-License-Identifier: Apache-2.0
"""Answers of the kernel, built as linux/dm-ioctl.h lays them out.

That they are laid out like this on a real kernel is what the lab's tests
show: there dmsetup must agree.
"""

import os
import pathlib
import struct
import tempfile

from oslotest import base

from cinder_tagged.ha.fence import exceptions
from cinder_tagged.ha.fence.adapters import blocks
from cinder_tagged.ha.fence.adapters import command
from cinder_tagged.ha.fence.adapters import devicemapper
from cinder_tagged.ha.fence.core import facts
from tests.unit.fence import world as w

HEADER = struct.Struct('=3I2IIiIIIQ128s129s7x')


def answer(data, count=0):
    return HEADER.pack(4, 47, 0, 16384, HEADER.size, count, 1, 0, 0, 0,
                       os.makedev(253, 3), b'vg-one', b'LVM-x') + data


class TestAnswers(base.BaseTestCase):
    def test_no_device(self):
        self.assertEqual(
            [], devicemapper.names(answer(struct.pack('=QI', 0, 0))))

    def test_devices(self):
        first = struct.pack('=QI', os.makedev(253, 0), 24) + b'san1'.ljust(
            12, b'\0')
        last = struct.pack('=QI', os.makedev(253, 300), 0) + b'vg-one\0'
        self.assertEqual(
            [os.makedev(253, 0), os.makedev(253, 300)],
            devicemapper.names(answer(first + last)))

    def test_targets(self):
        def target(first, kind, params, following):
            return struct.pack(
                '=QQiI16s', first, 8, 0, following, kind) + params
        data = (target(0, b'linear', b'253:1 2048\0'.ljust(16, b'\0'), 56)
                + target(8, b'error', b'\0', 104))
        self.assertEqual(
            [['0', '8', 'linear', '253:1', '2048'], ['8', '8', 'error']],
            devicemapper.targets(answer(data, 2)))

    def test_header_has_the_size_of_the_interface(self):
        self.assertEqual(312, HEADER.size)


class TestWithin(base.BaseTestCase):
    def test_answer_and_error(self):
        self.assertEqual(3, command.within(5, 'x', lambda: 3))
        self.assertRaises(ZeroDivisionError, command.within, 5, 'x',
                          lambda: 1 / 0)

    def test_call_that_waits_is_left_behind(self):
        reading, writing = os.pipe()
        self.addCleanup(os.close, reading)
        self.addCleanup(os.close, writing)
        self.assertRaises(
            exceptions.ToolTimeout, command.within, 0.1, 'x',
            lambda: os.read(reading, 1))
        os.write(writing, b'x')


class TestBottoms(base.BaseTestCase):
    def test_maps_need_no_word_of_their_paths(self):
        devices = (w.mpath('mpatha', '253:0'),
                   w.lv('one', 'A', '253:2', '253:0'),
                   w.lv('two', 'B', '253:3', '8:64'))
        self.assertEqual({'8:64'}, facts.bottoms(devices))

    def test_sysfs_is_read_from_there_down(self):
        with tempfile.TemporaryDirectory() as root:
            self._device(root, 'sda', '8:0', 'running')
            self._device(root, 'md0', '9:0', '', '8:0')
            self._device(root, 'sdb', '8:16', 'offline')
            found = blocks.from_sysfs(root, {'9:0', '8:99'})
            self.assertEqual({'9:0', '8:0'}, set(found))
            self.assertEqual(('8:0',), found['9:0'].below)
            self.assertEqual('running', found['8:0'].state)
            self.assertIn('8:16', blocks.from_sysfs(root))

    def _device(self, root, name, number, state, *below):
        device = pathlib.Path(root, 'block', name)
        (device / 'device').mkdir(parents=True)
        (device / 'device/state').write_text(f'{state}\n')
        for each in below:
            (device / 'slaves' / each).mkdir(parents=True)
            (device / 'slaves' / each / 'dev').write_text(f'{each}\n')
        numbers = pathlib.Path(root, 'dev/block')
        numbers.mkdir(parents=True, exist_ok=True)
        (numbers / number).symlink_to(device)
