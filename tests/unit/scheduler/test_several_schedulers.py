# SPDX-License-Identifier: Apache-2.0
"""Schedulers that share a database, and hear of each other by reports only."""

import random

import ddt

from tests.unit.scheduler import fakes


@ddt.ddt
class TestBurst(fakes.SchedulerTestCase):

    def setUp(self):
        super().setUp()
        self.database.size = 1
        self.random = random.Random(1)

    def schedulers(self, number, *weights):
        self.database.schedulers = [self.database.service(f's{n}')
                                    for n in range(number)]
        made = []
        for _ in range(number):
            manager = self.make_manager()
            for name, weight in zip('abcd', weights, strict=False):
                self.add_backend(manager, name, weight=weight)
            made.append(self.make_scheduler(manager))
        return made

    def run_burst(self, schedulers, weights, volumes, period):
        """Place volumes; each backend reports once in a period."""
        phases = {name: self.random.randrange(period)
                  for name, _ in zip('abcd', weights, strict=False)}
        for turn in range(volumes):
            for name, weight in zip('abcd', weights, strict=False):
                if turn % period == phases[name]:
                    for scheduler in schedulers:
                        self.report(scheduler.host_manager, f'host@{name}',
                                    fsid=f'fsid-{name}', weight=weight)
            self.random.choice(schedulers).schedule_create_volume(
                self.context, self.spec('ssd'), {})
        return [self.database.volumes[f'host@{name}#pool']
                for name, _ in zip('abcd', weights, strict=False)]

    @ddt.data((1, 7), (1, 100), (2, 7), (2, 100), (2, 1000), (3, 60))
    @ddt.unpack
    def test_shares_stay_near_the_weights(self, schedulers, period):
        weights = (3, 1)
        placed = self.run_burst(self.schedulers(schedulers, *weights),
                                weights, 400, period)
        self.assertEqual(400, sum(placed))
        self.assertLessEqual(abs(placed[0] - 300), 12, placed)

    def test_a_new_cluster_is_not_overrun(self):
        weights = (1, 1, 1)
        schedulers = self.schedulers(2, *weights)
        for name, held in (('a', 120), ('b', 120), ('c', 0)):
            self.database.volumes[f'host@{name}#pool'] = held
            for scheduler in schedulers:
                self.report(scheduler.host_manager, f'host@{name}',
                            fsid=f'fsid-{name}')
        placed = self.run_burst(schedulers, weights, 360, 40)
        for held in placed:
            self.assertLessEqual(abs(held - 200), 12, placed)
