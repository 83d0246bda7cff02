# SPDX-License-Identifier: Apache-2.0
import ddt
from oslotest import base

from cinder_tagged.resume.core.health import Seen
from cinder_tagged.resume.core.health import worst


@ddt.ddt
class TestWorst(base.BaseTestCase):

    @ddt.data(
        ([], Seen(None, None)),
        ([Seen(None, 5), Seen(None, 3)], Seen(None, 3)),
        ([Seen(7, 5), Seen(None, 9)], Seen(7, 5)),
        ([Seen(7, 5), Seen(6, 4)], Seen(6, 4)),
    )
    @ddt.unpack
    def test_away_if_one_is_and_sound_when_the_last_was(self, seen, whole):
        self.assertEqual(whole, worst(seen))

    def test_what_was_never_reached_leaves_nothing_sound(self):
        self.assertEqual(Seen(None, None),
                         worst([Seen(None, None), Seen(None, 9)]))
