# SPDX-License-Identifier: Apache-2.0

from oslotest import base

from cinder_tagged.volume import seen


class SeenTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.seen = seen.SeenImages()

    def test_used_last_comes_last(self):
        for image in ('a', 'b', 'a'):
            self.seen.used(image)
        self.assertEqual(['b', 'a'], self.seen.told())

    def test_only_so_many_are_told(self):
        for number in range(seen.MAX_TOLD + 5):
            self.seen.used(str(number))
        self.assertEqual(seen.MAX_TOLD, len(self.seen.told()))
        self.assertEqual('5', self.seen.told()[0])
        self.seen.replace(str(n) for n in range(3 * seen.MAX_TOLD))
        self.assertEqual(seen.MAX_TOLD, len(self.seen.told()))
        self.assertEqual(str(3 * seen.MAX_TOLD - 1), self.seen.told()[-1])

    def test_a_look_replaces_what_was_known(self):
        self.seen.used('swept')
        self.seen.replace(['there'])
        self.assertEqual(['there'], self.seen.told())
