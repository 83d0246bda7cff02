# SPDX-License-Identifier: Apache-2.0
"""Outputs recorded on a lab node (lvm2 2.03.16, sanlock 3.8.5, Debian 12):
two volumes held, two paths to two maps."""

import pathlib

from oslotest import base

from cinder_tagged.ha.fence.adapters import blocks
from cinder_tagged.ha.fence.adapters import dmsetup
from cinder_tagged.ha.fence.adapters import lvmlockd
from cinder_tagged.ha.fence.adapters import sanlock
from cinder_tagged.ha.fence.core import facts as raw
from cinder_tagged.ha.fence.core import layers
from cinder_tagged.ha.fence.core.assess import assess
from cinder_tagged.ha.fence.core.model import Order
from cinder_tagged.ha.fence.core.plan import plan

HERE = pathlib.Path(__file__).parent / 'recorded'


def recorded(name):
    return (HERE / name).read_text()


class TestRecorded(base.BaseTestCase):
    def setUp(self):
        super().setUp()
        self.facts = raw.Facts(
            dmsetup.parse(recorded('dmsetup-info'),
                          recorded('dmsetup-table'),
                          recorded('dmsetup-status')),
            blocks.parse(recorded('lsblk')),
            lvmlockd.parse(recorded('lvmlockctl')),
            sanlock.parse(recorded('sanlock'), now=900))

    def test_group_is_found(self):
        self.assertEqual(('vg',), raw.groups(self.facts))

    def test_view(self):
        view = raw.view_of(self.facts, 'vg')
        self.assertEqual({'vg-one', 'vg-two'},
                         {v.name for v in view.volumes})
        self.assertEqual('vg-lvmlock', view.lock_volume.name)
        self.assertEqual(['san1'], [m.name for m in layers.lock_base(view)])
        self.assertEqual({'san1': 2, 'san2': 2},
                         {m.name: len(m.paths) for m in view.maps})
        self.assertTrue(all(m.queueing and not m.lost for m in view.maps))
        self.assertEqual('360000000000000000e00000000010001',
                         view.maps[0].wwid)
        self.assertEqual(3, view.lease.io_timeout)

    def test_every_volume_has_its_lock(self):
        view = raw.view_of(self.facts, 'vg')
        for volume in view.volumes:
            self.assertEqual((volume.identity.uuid, 'ex'),
                             layers.lock_of(volume, view))

    def test_lsblk_shows_the_paths_beneath(self):
        below = {b.name: {self.facts.blocks[d].name for d in b.below}
                 for b in self.facts.blocks.values()}
        self.assertEqual({'sda', 'sdc'}, below['dm-0'])
        self.assertEqual({'dm-1'}, below['dm-3'])

    def test_forced_plan_ends_with_the_drop(self):
        view = raw.view_of(self.facts, 'vg')
        self.assertIsNotNone(assess(view).reason)
        steps = [str(s) for s in plan(view, Order('vg', forced=True))]
        self.assertEqual('drop the locks of vg in lvmlockd', steps[-2])
