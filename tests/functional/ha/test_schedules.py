# SPDX-License-Identifier: Apache-2.0
"""A few hundred seeded simulations; ten thousand with CINDER_TAGGED_FULL."""

import os

import ddt
from oslotest import base

from cinder_tagged.ha.sim import schedule

SEEDS = 10000 if os.environ.get('CINDER_TAGGED_FULL') else 200
PARTS = 4


@ddt.ddt
class SchedulesTest(base.BaseTestCase):

    @ddt.data(*range(PARTS))
    def test_invariants_hold(self, part):
        # Other seeds than the unit tests have.
        for seed in range(1000 + part, 1000 + SEEDS, PARTS):
            schedule.run(seed)
