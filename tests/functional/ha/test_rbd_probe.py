# SPDX-License-Identifier: Apache-2.0
"""The agent's own RBD client, on a real cluster (D3)."""

from oslotest import base

from cinder_tagged.ha.adapters import probes
from devstack.sandbox.ceph import CephCluster
from tests.functional.ha import lab as labs

DEADLINE = 2.0


class RbdProbeTest(base.BaseTestCase):

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.cluster = CephCluster(name='ha')
        cls.cluster.start()

    @classmethod
    def tearDownClass(cls):
        cls.cluster.stop()
        super().tearDownClass()

    def watch(self, probe):
        watch = probes.Watch('rbd', probe, '', 0.1, DEADLINE, 1,
                             lambda: None)
        watch.start()
        self.addCleanup(watch.stop)
        labs.wait_for(lambda: not watch.fault, 'the probe succeeds')
        return watch

    def probe(self):
        return probes.RbdProbe(str(self.cluster.conf), 'admin', 'volumes',
                               'n1')

    def test_stopped_osd_is_a_fault_within_the_deadline(self):
        watch = self.watch(self.probe())
        self.cluster.pause('osd')
        self.addCleanup(self.cluster.resume, 'osd')
        labs.wait_for(lambda: watch.fault, 'the fault is found')
        self.assertIn('rbd: pool volumes', watch.fault)
        self.cluster.resume('osd')
        labs.wait_for(lambda: not watch.fault, 'the probe recovers')

    def test_unknown_pool_is_a_fault(self):
        probe = probes.RbdProbe(str(self.cluster.conf), 'admin', 'nowhere',
                                'n1')
        self.assertRaises(probes.Unsound, probe, '', DEADLINE)

    def test_no_cluster_at_all_is_a_fault(self):
        probe = probes.RbdProbe('/nowhere/ceph.conf', 'admin', 'volumes',
                                'n1')
        self.assertRaises(probes.Unsound, probe, '', DEADLINE)
