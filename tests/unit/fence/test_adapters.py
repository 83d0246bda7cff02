# SPDX-License-Identifier: Apache-2.0
import contextlib
import io
import os
import pathlib
import tempfile
import time
from unittest import mock

from oslotest import base

from cinder_tagged.ha.fence import cli
from cinder_tagged.ha.fence import exceptions
from cinder_tagged.ha.fence.adapters import blocks
from cinder_tagged.ha.fence.adapters import command
from cinder_tagged.ha.fence.adapters import dmsetup
from cinder_tagged.ha.fence.adapters import holders
from cinder_tagged.ha.fence.adapters import lvmlockd
from cinder_tagged.ha.fence.adapters import multipath
from cinder_tagged.ha.fence.adapters import records
from cinder_tagged.ha.fence.adapters import sanlock
from cinder_tagged.ha.fence.core.fencing import Method

INFO = '''\
mpatha|mpath-360000000000000000e00000000010001|253|0|2|L--w
vg-lvmlock|LVM-aW5fIUZ0sPqvXFsgnmbK0000000000007xoDtuyvNMiwQxC94tBbYsUzBlo8hAIa\
|253|1|1|L--w
vg-one|LVM-aW5fIUZ0sPqvXFsgnmbK000000000000exxNPXwZdOuCNyyiGaaJGTJKVlarfcYT\
|253|2|1|LIsw
'''
TABLE = '''\
mpatha: 0 2097152 multipath 1 queue_if_no_path 0 2 1 service-time 0 1 1 8:0 1 \
service-time 0 1 1 8:16 1
vg-lvmlock: 0 524288 linear 253:0 2048
vg-one: 0 65536 linear 253:0 526336
vg-one: 65536 65536 error
'''
STATUS = '''\
mpatha: 0 2097152 multipath 2 0 0 0 2 1 A 0 1 2 8:0 A 0 0 1 \
E 0 1 2 8:16 F 3 0 1
'''
LOCKD = '''\
VG vg lock_type=sanlock aW5fIU-Z0sP-qvXF-sgnm-bK00-0000-000000
LS sanlock lvm_vg
LK GL un ver 0
LK VG un ver 3
LK LV ex exxNPX-wZdO-uCNy-yiGa-aJGT-JKVl-arfcYT
LK LV un 7xoDtu-yvNM-iwQx-C94t-BbYs-UzBl-o8hAIa

VG local lock_type=dlm x
LS dlm lvm_local
LK LV ex aaaaaa
'''
SANLOCK = '''\
daemon 5e1d3f9c-node1
    our_host_name=5e1d3f9c-node1
    use_watchdog=1
p -1 helper
    ci=1
s lvm_vg:1:/dev/mapper/vg-lvmlock:0
    list=spaces
    io_timeout=5
    space_dead=0
    killing_pids=0
    renewal_last_success=1000
s lvm_other:1:/dev/mapper/other-lvmlock:0
    io_timeout=10
    space_dead=1
    renewal_last_success=900
s not_lvm:1:/x:0
r lvm_vg:exxNPX-wZdO:/dev/mapper/vg-lvmlock:70254592:3 p 300
'''
LSBLK = '''{"blockdevices": [
 {"name": "vg-one", "kname": "dm-2", "maj:min": "253:2", "type": "lvm",
  "state": "running", "children": [
   {"name": "mpatha", "kname": "dm-0", "maj:min": "253:0", "type": "mpath",
    "state": "running", "children": [
     {"name": "sda", "kname": "sda", "maj:min": "  8:0 ", "type": "disk",
      "state": "transport-offline"}]}]},
 {"name": "vda", "kname": "vda", "maj:min": "254:0", "type": "disk",
  "state": null}]}'''


class TestParsers(base.BaseTestCase):
    def test_dmsetup(self):
        mpatha, lock, one = dmsetup.parse(INFO, TABLE, STATUS)
        self.assertTrue(mpatha.queueing)
        self.assertEqual([('8:0', True), ('8:16', False)],
                         [(p.device, p.active) for p in mpatha.paths])
        self.assertEqual(('253:0',), lock.below)
        self.assertEqual(('linear', 'error'), one.targets)
        self.assertTrue(one.suspended and one.inactive_table)
        self.assertFalse(lock.suspended or lock.inactive_table)

    def test_dmsetup_without_devices(self):
        said = 'No devices found\n'
        self.assertEqual((), dmsetup.parse(said, said, said))

    def test_dmsetup_unknown_shape(self):
        self.assertRaises(exceptions.Unreadable, dmsetup.parse,
                          'a|b|c', '', '')

    def test_lvmlockd(self):
        found = lvmlockd.parse(LOCKD)
        self.assertEqual(
            {'vg': {'exxNPX-wZdO-uCNy-yiGa-aJGT-JKVl-arfcYT': 'ex'}},
            found.locks)

    def test_sanlock(self):
        found = sanlock.parse(SANLOCK, now=1007)
        self.assertEqual({'vg', 'other'}, set(found.leases))
        self.assertEqual((5, 7), (found.leases['vg'].io_timeout,
                                  found.leases['vg'].age))
        self.assertTrue(found.leases['other'].recovering)

    def test_lsblk(self):
        found = blocks.parse(LSBLK)
        self.assertEqual('transport-offline', found['8:0'].state)
        self.assertEqual(('253:0',), found['253:2'].below)
        self.assertEqual('', found['254:0'].state)


class TestCommand(base.BaseTestCase):
    def test_output(self):
        self.assertEqual('hi\n', command.run(['echo', 'hi'], 20))

    def test_failure_names_the_command_and_its_words(self):
        error = self.assertRaises(
            exceptions.ToolFailed, command.run,
            ['sh', '-c', 'echo lost >&2; exit 3'], 20)
        self.assertEqual((3, 'lost'), (error.code, error.said))

    def test_missing_tool(self):
        self.assertRaises(exceptions.ToolFailed, command.run,
                          ['/no/such/tool'], 20)

    def test_deadline_ends_the_whole_process_group(self):
        with tempfile.TemporaryDirectory() as directory:
            mark = pathlib.Path(directory, 'pid')
            self.assertRaises(
                exceptions.ToolTimeout, command.run,
                ['sh', '-c', f'trap "" TERM; sleep 600 & echo $! > {mark};'
                 'wait; sleep 600'], 1)
            pid = mark.read_text().strip()
            end = time.monotonic() + 30
            while _alive(pid) and time.monotonic() < end:
                time.sleep(0.05)
            self.assertFalse(_alive(pid))


def _alive(pid):
    try:
        state = pathlib.Path('/proc', pid, 'stat').read_text()
    except OSError:
        return False
    return state.rpartition(')')[2].split()[0] != 'Z'


class TestMultipath(base.BaseTestCase):
    def setUp(self):
        super().setUp()
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.conf = pathlib.Path(directory.name, 'conf.d')
        self.tool = multipath.Multipath(str(self.conf), 5)
        patch = mock.patch.object(command, 'run', return_value='ok\n')
        self.ran = patch.start()
        self.addCleanup(patch.stop)

    def commands(self):
        return [' '.join(call.args[0]) for call in self.ran.mock_calls]

    def test_override_is_for_one_map_and_goes_again(self):
        self.tool.disable_queueing('mpatha', '3600', Method.OVERRIDE)
        file, = self.conf.glob('*.conf')
        self.assertIn('wwid "3600"', file.read_text())
        self.assertNotIn('overrides', file.read_text())
        self.assertEqual(('3600',), self.tool.overrides())
        self.tool.restore_queueing('mpatha', '3600')
        self.assertEqual((), self.tool.overrides())
        self.assertEqual(
            ['multipathd reconfigure',
             'multipathd disablequeueing map mpatha',
             'multipathd reconfigure',
             'multipathd restorequeueing map mpatha'], self.commands())

    def test_refusal_in_words_is_an_error(self):
        self.ran.return_value = 'fail\n'
        self.assertRaises(
            exceptions.ToolFailed, self.tool.disable_queueing, 'mpatha',
            '3600', Method.DAEMON)

    def test_odd_wwid_never_reaches_the_file(self):
        self.assertRaises(
            exceptions.Unreadable, self.tool.disable_queueing, 'a',
            'x"\n}', Method.OVERRIDE)


class TestHolders(base.BaseTestCase):
    def test_finds_who_has_a_file_open(self):
        with tempfile.NamedTemporaryFile() as file:
            found = holders.find([file.name])
        self.assertEqual([os.getpid()], [h.pid for h in found])

    def test_pause_reports_only_what_libvirt_did(self):
        two = [holders.Holder(1, 'qemu', 'good'),
               holders.Holder(2, 'qemu', 'bad'),
               holders.Holder(3, 'dd', '')]

        def virsh(argv, deadline):
            if 'bad' in argv:
                raise exceptions.ToolFailed('virsh', 1, 'no domain')
            return ''
        with mock.patch.object(command, 'run', side_effect=virsh):
            self.assertEqual(('good',), holders.settle(
                two, 'pause', 'qemu:///system', 5))


class TestRecords(base.BaseTestCase):
    def test_broken_record_is_named(self):
        with tempfile.TemporaryDirectory() as directory:
            pathlib.Path(directory, 'vg.json').write_text('{')
            store = records.RecordStore(directory)
            error = self.assertRaises(
                exceptions.Unreadable, store.load, 'vg')
            self.assertIn('vg.json', str(error))


class TestCli(base.BaseTestCase):
    def call(self, *argv):
        with tempfile.TemporaryDirectory() as directory:
            conf = pathlib.Path(directory, 'fence.conf')
            conf.write_text(f'[fence]\nstate_dir = {directory}\n')
            return cli.main(['--config-file', str(conf), *argv])

    def test_recover_without_a_fence(self):
        self.assertEqual(1, self.call('recover', 'vg'))

    def test_unknown_option_value(self):
        with tempfile.NamedTemporaryFile('w', suffix='.conf') as conf:
            conf.write('[fence]\nholders = shoot\n')
            conf.flush()
            self.assertEqual(2, cli.main(
                ['--config-file', conf.name, 'recover', 'vg']))

    def test_answer_is_not_mixed_with_the_log(self):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), \
                contextlib.redirect_stderr(err):
            self.assertEqual(1, self.call('recover', '--json', 'vg'))
        self.assertEqual('', out.getvalue())
        self.assertIn('vg is not fenced here', err.getvalue())
