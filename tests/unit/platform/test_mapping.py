# SPDX-License-Identifier: Apache-2.0
"""The kernel's mappings, on a tree as its sysfs has it."""

import json
from pathlib import Path
import shutil
import threading
import types
from unittest import mock

import fixtures
from oslotest import base

from cinder_tagged.ha.platform import exceptions
from cinder_tagged.ha.platform.adapters import command
from cinder_tagged.ha.platform.adapters import krbd
from cinder_tagged.ha.platform.adapters import nbd
from cinder_tagged.ha.platform.adapters import process

SECTION = types.SimpleNamespace(
    ceph_conf='/c', ceph_user='u', pool='volumes', start_deadline=5.0,
    kill_deadline=0.2, period=0.5, deadline=3.0)


class KrbdTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.directory = Path(self.useFixture(fixtures.TempDir()).path)
        self.sysfs = Path(self.useFixture(fixtures.TempDir()).path)
        self.disks = Path(self.useFixture(fixtures.TempDir()).path)
        for name, place in (('devices', self.sysfs), ('disks', self.disks)):
            self.useFixture(fixtures.MockPatchObject(
                krbd.Krbd, name, place))
        self.ran = []
        self.busy = self.hangs = False
        self.useFixture(fixtures.MockPatchObject(
            command, 'run', self.run_tool))

    def appear(self, number, image='app', client='client7'):
        entry = self.sysfs / str(number)
        entry.mkdir()
        for name, text in (('pool', 'volumes'), ('name', image),
                           ('cluster_fsid', 'f'), ('client_id', client),
                           ('client_addr', '10.0.0.1:0/1')):
            (entry / name).write_text(text + '\n')
        disk = self.disks / f'rbd{number}'
        disk.mkdir(exist_ok=True)
        (disk / 'size').write_text('524288\n')

    def run_tool(self, argv, deadline, cancel=None):
        self.ran.append(argv)
        if 'map' in argv:
            self.appear(0)
            if cancel.is_set():
                raise exceptions.Cancelled('rbd was broken off')
            return 0, '/dev/rbd0\n'
        if self.hangs:
            # As seen: the disk is dead at once, the lock is not given back.
            (self.disks / 'rbd0/size').write_text('0\n')
            self.assertTrue(cancel.is_set())
            shutil.rmtree(self.sysfs / '0')
            raise exceptions.Cancelled('rbd was broken off')
        if self.busy and 'force' not in argv:
            raise exceptions.ToolError('rbd: exit 16: busy', 16)
        if self.busy != 'for ever':
            shutil.rmtree(self.sysfs / argv[-1].removeprefix('/dev/rbd'))
        return 0, ''

    def mapper(self):
        return krbd.Krbd(SECTION, self.directory)

    def mapped(self):
        mapper = self.mapper()
        mapper.map('app', threading.Event())
        return mapper

    def test_mapped_and_unmapped(self):
        mapper = self.mapped()
        self.assertEqual(('/dev/rbd0', '10.0.0.1:0/1', True),
                         (mapper.device, mapper.address(), mapper.alive()))
        again = self.mapper()
        self.assertTrue(again.alive())
        again.unmap()
        self.assertEqual((False, False, []), (
            again.mapped, self.mapper().mapped, [*self.sysfs.iterdir()]))

    def test_half_done_mapping_is_undone_by_the_next_process(self):
        broken_off = threading.Event()
        broken_off.set()
        self.assertRaises(exceptions.Cancelled, self.mapper().map, 'app',
                          broken_off)
        mapper = self.mapper()
        self.assertTrue(mapper.mapped)
        mapper.unmap()
        self.assertEqual([], [*self.sysfs.iterdir()])
        self.assertFalse(self.mapper().mapped)

    def test_device_of_another_client_is_left_alone(self):
        self.mapped()
        shutil.rmtree(self.sysfs / '0')
        # The server was restarted; the number serves others now.
        self.appear(0, image='other', client='client8')
        self.appear(1, client='client9')
        mapper = self.mapper()
        self.assertFalse(mapper.alive())
        mapper.cut()
        mapper.unmap()
        self.assertEqual(['0', '1'], sorted(
            entry.name for entry in self.sysfs.iterdir()))
        self.assertFalse(self.mapper().mapped)

    def test_busy_device_is_unmapped_by_force(self):
        mapper = self.mapped()
        self.busy = True
        mapper.unmap()
        self.assertIn('force', self.ran[-1])
        self.assertFalse(mapper.mapped)

    def test_an_io_that_hangs_ends_with_the_patience_for_the_storage(self):
        self.mapped()
        self.assertIn('osd_request_timeout=4', ','.join(self.ran[0]))

    def test_cut_does_not_wait_for_a_cluster_that_is_away(self):
        mapper = self.mapped()
        self.hangs = True
        mapper.cut()
        self.assertFalse(mapper.alive())

    def test_device_that_stays_is_not_forgotten(self):
        mapper = self.mapped()
        self.busy = 'for ever'
        self.assertRaises(exceptions.PlatformError, mapper.unmap)
        self.assertTrue(self.mapper().alive())


class NbdTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.directory = Path(self.useFixture(fixtures.TempDir()).path)
        self.served = []
        self.useFixture(fixtures.MockPatchObject(
            command, 'run', self.run_tool))
        began = {41: 'a'}
        self.kill = self.useFixture(fixtures.MockPatchObject(
            process, 'kill', mock.Mock(return_value=True))).mock
        self.useFixture(fixtures.MockPatchObject(
            process, 'began', lambda pid: began.get(pid, '')))

    def run_tool(self, argv, deadline, cancel=None):
        if 'map' in argv:
            self.served = [{'id': '40', 'pool': 'volumes', 'image': 'other',
                            'device': '/dev/nbd0'},
                           {'id': '41', 'pool': 'volumes', 'image': 'app',
                            'device': '/dev/nbd1'}]
            if cancel.is_set():
                raise exceptions.Cancelled('rbd was broken off')
            return 0, '/dev/nbd1\n'
        if 'list-mapped' in argv:
            return 0, json.dumps(self.served)
        raise exceptions.ToolError('rbd-nbd: exit 16: busy', 16)

    def test_half_done_mapping_is_undone_by_the_next_process(self):
        broken_off = threading.Event()
        broken_off.set()
        self.assertRaises(
            exceptions.Cancelled,
            nbd.Nbd(SECTION, self.directory).map, 'app', broken_off)
        mapper = nbd.Nbd(SECTION, self.directory)
        mapper.unmap()
        self.kill.assert_called_once_with(41, 'a', 0.2)
        self.assertFalse(nbd.Nbd(SECTION, self.directory).mapped)

    def test_process_that_unmapping_does_not_end_is_killed(self):
        mapper = nbd.Nbd(SECTION, self.directory)
        mapper.map('app', threading.Event())
        self.assertEqual(('/dev/nbd1', True),
                         (mapper.device, mapper.alive()))
        mapper.unmap()
        self.kill.assert_called_once_with(41, 'a', 0.2)
        self.assertFalse(mapper.mapped)

    def test_mapping_without_a_process_is_told(self):
        mapper = nbd.Nbd(SECTION, self.directory)
        with mock.patch.object(nbd.Nbd, '_find', return_value=0):
            self.assertRaises(exceptions.PlatformError, mapper.map, 'app',
                              threading.Event())
        self.assertTrue(mapper.mapped)
