# SPDX-License-Identifier: Apache-2.0
"""What tools print: recorded outputs, spoiled."""

import contextlib
import json
import pathlib

from hypothesis import example
from hypothesis import given
from hypothesis import strategies as st
from oslotest import base

from cinder_tagged.ha.fence import exceptions
from cinder_tagged.ha.fence.adapters import blocks
from cinder_tagged.ha.fence.adapters import dmsetup
from cinder_tagged.ha.fence.adapters import lvmlockd
from cinder_tagged.ha.fence.adapters import sanlock
from cinder_tagged.ha.fence.core import facts
from cinder_tagged.ha.fence.core import names
from tests.unit import fuzz

_HERE = pathlib.Path(__file__).parents[1] / 'fence' / 'recorded'
_OUTPUT = {path.name: path.read_text() for path in _HERE.iterdir()}


def spoiled(name):
    return st.one_of(fuzz.spoiled(_OUTPUT[name]), fuzz.text)


class ToolsTest(base.BaseTestCase):

    @given(spoiled('lsblk'))
    @fuzz.bounded
    def test_lsblk(self, report):
        with contextlib.suppress(exceptions.Unreadable):
            blocks.parse(report)

    @given(st.one_of(fuzz.json_values, fuzz.altered(
        json.loads(_OUTPUT['lsblk']))))
    @example({'blockdevices': [{}]})
    @example({'blockdevices': None})
    @example({'blockdevices': [{
        'kname': 'a', 'maj:min': '1:1', 'type': 'disk'}]})
    @fuzz.bounded
    def test_lsblk_of_another_release(self, report):
        with contextlib.suppress(exceptions.Unreadable):
            blocks.parse(json.dumps(report))

    @example('[' * 20000)
    @given(st.just('{"blockdevices": ' + '[' * 3000))
    @fuzz.bounded
    def test_lsblk_without_end(self, report):
        self.assertRaises(exceptions.Unreadable, blocks.parse, report)

    @given(spoiled('dmsetup-info'), spoiled('dmsetup-table'),
           spoiled('dmsetup-status'))
    @example('n|u|1|1|²|s\n', '', '')
    @example('n|u|1|1|' + '9' * 5000 + '|s\n', '', '')
    @fuzz.bounded
    def test_dmsetup(self, info, table, status):
        with contextlib.suppress(exceptions.Unreadable):
            dmsetup.parse(info, table, status)

    @given(spoiled('lvmlockctl'))
    @fuzz.bounded
    def test_lvmlockctl(self, report):
        lvmlockd.parse(report)

    @given(spoiled('sanlock'))
    @example('s lvm_vg:1:/dev/x:0\n    io_timeout=' + '9' * 5000 + '\n')
    @fuzz.bounded
    def test_sanlock(self, report):
        with contextlib.suppress(exceptions.Unreadable):
            sanlock.parse(report, now=900.0)

    @given(fuzz.text, fuzz.text)
    @fuzz.bounded
    def test_names(self, name, uuid):
        names.identify(name, uuid)
        names.split_name(name)

    @given(fuzz.text, fuzz.text)
    @fuzz.bounded
    def test_names_come_back(self, vg, lv):
        vg, lv = vg.strip('-') or 'v', lv.strip('-') or 'l'
        self.assertEqual((vg, lv, ''),
                         names.split_name(names.join_name(vg, lv)))

    @given(spoiled('dmsetup-info'), spoiled('dmsetup-table'),
           spoiled('lsblk'), spoiled('lvmlockctl'), spoiled('sanlock'))
    @fuzz.bounded
    def test_all_together(self, info, table, lsblk, locks, leases):
        with contextlib.suppress(exceptions.Unreadable):
            seen = facts.Facts(
                dmsetup.parse(info, table, _OUTPUT['dmsetup-status']),
                blocks.parse(lsblk), lvmlockd.parse(locks),
                sanlock.parse(leases, now=900.0))
            for group in facts.groups(seen):
                facts.view_of(seen, group)
