# SPDX-License-Identifier: Apache-2.0
"""Many volumes at once through real services, two schedulers among them."""

from concurrent import futures
import os
import time

from oslotest import base as oslo_base
from testtools import content

from devstack.sandbox.process import wait_until
from tests.functional import base

#: The published figure is for 400; everyday runs make do with fewer, still
#: enough to see a share to a percent.
COUNT = 400 if os.environ.get('CINDER_TAGGED_FULL') else 160
#: Requests under way at once. More would only queue in front of the API.
CLIENTS = 8
PATIENCE_S = 600
DOWN_WITHIN_S = 15


class TestBurst(oslo_base.BaseTestCase):
    """On a sandbox of its own: shares count from empty clusters."""

    def setUp(self):
        super().setUp()
        self.sandbox = base.new_sandbox(schedulers=2, stats_interval=10)
        self.addCleanup(self.sandbox.stop)
        self.cloud = self.sandbox.connect()
        self.cinder = self.cloud.block_storage

    def create(self, count, halfway=None):
        """Create volumes of type ssd from several clients; return ids."""
        ids = []

        def one(number):
            if halfway and number == count // 2:
                halfway()
            ids.append(self.cinder.create_volume(
                size=1, volume_type='ssd', name=f'burst-{number}').id)

        with futures.ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(one, range(count)))
        return ids

    def settled(self, ids):
        """Wait until every volume has ended; return them by id."""
        def ended():
            self.found = {v.id: v for v in self.cinder.volumes(details=True)
                          if v.id in wanted}
            return all(v.status in ('available', 'error')
                       for v in self.found.values())
        wanted = set(ids)
        wait_until(ended, PATIENCE_S, 'all volumes ended', interval=1)
        self.assertEqual(wanted, set(self.found))
        return self.found

    def test_shares_follow_weights_with_two_schedulers(self):
        ids = self.create(COUNT)
        self.settled(ids)
        self.assertEqual({'available'},
                         {v.status for v in self.found.values()})
        images = self.sandbox.images()
        held = {name: sum(f'volume-{i}' in images[name] for i in ids)
                for name in images}
        self.addDetail('shares', _text(held))
        self.assertEqual(COUNT, held['ceph-ssd-a'] + held['ceph-ssd-b'])
        self.assertAlmostEqual(0.75, held['ceph-ssd-a'] / COUNT, delta=0.03)

    def test_a_cluster_that_stops_midway_costs_no_volume(self):
        victim = self.sandbox.clusters['ceph-ssd-a']
        # The other must be able to take them all by itself.
        ids = self.create(COUNT // 4, halfway=victim.kill)
        began = time.monotonic()
        wait_until(self._reported_down, 10 * DOWN_WITHIN_S,
                   'ceph-ssd-a reported down')
        self.addDetail('seconds until down', _text(
            round(time.monotonic() - began, 1)))
        later = self.create(COUNT // 8)
        self.settled(later)
        victim.start()
        wait_until(self._reported_up, PATIENCE_S,
                   'ceph-ssd-a up again')
        again = self.create(COUNT // 8)
        self.settled(ids + later + again)
        wrong = [v.id for v in self.found.values() if v.status == 'error']
        self.assertEqual([], wrong)
        self.assertEqual({'ceph-ssd-b'}, {
            self._backend(self.found[i]) for i in later})
        self.assertIn('ceph-ssd-a', {
            self._backend(self.found[i]) for i in again})

    def _states(self):
        """Return what each scheduler says of the victim; they take turns."""
        return [{pool.name.partition('@')[2].partition('#')[0]:
                 pool.capabilities.get('backend_state')
                 for pool in self.cinder.backend_pools()}.get('ceph-ssd-a')
                for _ in range(4)]

    def _reported_down(self):
        return 'up' not in self._states()

    def _reported_up(self):
        return set(self._states()) == {'up'}

    @staticmethod
    def _backend(volume):
        return volume.host.partition('@')[2].partition('#')[0]


def _text(value):
    return content.text_content(str(value))
