# SPDX-License-Identifier: Apache-2.0
"""Nothing happens, so nothing moves: ten minutes with CINDER_TAGGED_FULL."""

import os
import time

from testtools import content

from tests.functional.ha import test_takeover

IDLE = 600 if os.environ.get('CINDER_TAGGED_FULL') else 5


class IdleTest(test_takeover.LabTestCase):

    # The faster ones take a machine that stands still for a death.
    profile = 'calm'

    def test_nothing_moves(self):
        epoch = self.epoch()
        with self.watched():
            time.sleep(IDLE)
        self.addDetail('history', content.text_content('\n'.join(
            f'{node.name} {entry}' for node in self.lab.nodes
            for entry in node.history())))
        self.assertIs(self.holder, self.lab.settled())
        self.assertEqual(epoch, self.epoch())
