# SPDX-License-Identifier: Apache-2.0
"""Creates that were given up, on a real cluster.

Where the volumes are is said here; Cinder's database is not part of this.
"""

import rbd

from cinder_tagged.volume import doubtful
from cinder_tagged.volume import existing
from cinder_tagged.volume.whereabouts import Whereabouts
from tests.functional import driver_base

GIB = 1024 ** 3
NAME = 'volume-0d4bc2f0-0000-4000-8000-000000000001'
SHAPE = existing.Shape(GIB, 22, 61)


class DoubtfulTest(driver_base.DriverCase):

    def setUp(self):
        super().setUp()
        self.where = Whereabouts.ELSEWHERE
        self.now = 0.0
        self.doubtful = doubtful.Doubtful(rbd, lambda volume_id: self.where,
                                          clock=lambda: self.now)
        self.doubtful.add('an id', NAME, SHAPE)
        self.addCleanup(self.remove)

    def remove(self):
        if NAME in self.cluster.images():
            with self.cluster.ioctx('volumes') as ioctx:
                rbd.RBD().remove(ioctx, NAME)

    def takes_effect(self):
        """What was sent arrives at last."""
        with self.cluster.ioctx('volumes') as ioctx:
            rbd.RBD().create(ioctx, NAME, GIB, 22, old_format=False,
                             features=SHAPE.features)

    def settle(self):
        self.doubtful.settle(lambda: self.cluster.ioctx('volumes', 'cinder'))

    def test_removed_when_it_turns_up(self):
        self.settle()
        self.assertEqual([NAME], self.doubtful.names())
        self.takes_effect()
        self.settle()
        self.assertEqual(([], []), (self.doubtful.names(),
                                    self.cluster.images()))

    def test_forgotten_when_it_never_turns_up(self):
        self.now = doubtful.SETTLED_S + 1
        self.settle()
        self.assertEqual([], self.doubtful.names())

    def test_traces_are_removed(self):
        with self.cluster.ioctx('volumes') as ioctx:
            ioctx.write_full(f'rbd_id.{NAME}', b'\x03\0\0\0abc')
            self.settle()
            self.assertNotIn(f'rbd_id.{NAME}',
                             [o.key for o in ioctx.list_objects()])

    def test_kept_where_the_volume_is(self):
        self.where = Whereabouts.HERE
        self.takes_effect()
        self.settle()
        self.assertEqual(([], [NAME]), (self.doubtful.names(),
                                        self.cluster.images()))

    def test_kept_while_nothing_is_decided(self):
        self.where = Whereabouts.UNKNOWN
        self.takes_effect()
        self.now = 10 * doubtful.SETTLED_S
        self.settle()
        self.assertEqual(([NAME], [NAME]), (self.doubtful.names(),
                                            self.cluster.images()))

    def test_kept_when_it_has_been_used(self):
        self.where = Whereabouts.GONE
        self.takes_effect()
        with self.cluster.ioctx('volumes') as ioctx, \
                rbd.Image(ioctx, NAME) as image:
            image.write(b'precious', 0)
        self.settle()
        self.assertEqual(([], [NAME]), (self.doubtful.names(),
                                        self.cluster.images()))
