# SPDX-License-Identifier: Apache-2.0
"""A node fails under load: no accepted request is lost.

Requests go to the address, and it is the node that holds it which fails.
``CINDER_TAGGED_FULL`` has every fault ten times, at random moments.
"""

import os
import random
import time
import types

import ddt

from tests.functional.resume import base
from tests.functional.resume import nodes

FULL = bool(os.environ.get('CINDER_TAGGED_FULL'))
FAULTS = ('die', 'kill', 'freeze', 'cut_from_ceph', 'cut_from_bus')
_TIMES = 10
#: Under load between two faults, seconds.
_LOAD_S = 5


@ddt.ddt
class TestTakeover(base.ResumeTestCase):
    """Three nodes; without FULL all faults in one stack, once each."""

    schedulers = 3
    # What an API reserved that died before it answered ends by this alone;
    # where none dies nothing may be left to it.
    defaults = types.MappingProxyType({
        'reservation_expire': 60, 'reservation_clean_interval': 10})

    def setUp(self):
        super().setUp()
        self.lab = self.enterContext(nodes.StorageNodes(self.sandbox))
        for node in self.lab.nodes:
            self.wait_until_up(node)

    def connect(self):
        return self.lab.connect()

    @ddt.named_data(*([fault, *[fault] * _TIMES] for fault in FAULTS)
                    if FULL else [['each', *FAULTS]])
    def test_a_node_that_fails_costs_no_request(self, *faults):
        dice = random.SystemRandom()
        with self.stream() as stream:
            for fault in faults:
                time.sleep(_LOAD_S * dice.uniform(0.5, 1.5))
                self.busy(stream)
                holder = self.lab.settled()
                getattr(self, fault)(holder)
                self.wait_until_up(holder)
                self.lab.settled()
            time.sleep(_LOAD_S)
        self.judge(stream)

    def wait_until_up(self, node):
        host = self.lab.host(node)
        self.wait_until(lambda: base.node_up(self.sandbox, host),
                        f'{host} up')

    def wait_until_fenced(self, node):
        host = self.lab.host(node)
        self.wait_until(lambda: self.fenced(host), f'{host} fenced')

    def die(self, node):
        """The machine and its agent: a peer's agent says so at once."""
        peers = [n for n in self.lab.nodes if n is not node]
        before = self.hooks_done(peers)
        self.lab.die(node)
        self.wait_until(lambda: self.hooks_done(peers) > before,
                        'the hook ran')
        self.wait_until_fenced(node)
        self.lab.boot(node)

    @staticmethod
    def hooks_done(peers):
        return sum(event['event'] == 'peer_death_done'
                   for node in peers for event in node.history())

    def kill(self, node):
        """The volume service alone: nobody says so, its peers notice."""
        self.cinder_volume.nodes[self.lab.host(node)].kill()
        self.wait_until_fenced(node)
        self.lab.revive(node)

    def freeze(self, node):
        """The machine hangs, and goes on later as if nothing had been."""
        self.lab.freeze(node)
        self.wait_until_fenced(node)
        time.sleep(_LOAD_S)
        self.lab.thaw(node)
        self.revived(node)

    def cut_from_ceph(self, node):
        self.cut_off(node, [
            port for cluster in self.sandbox.clusters.values()
            for port in base.ceph_ports(cluster)])

    def cut_from_bus(self, node):
        self.cut_off(node, [self.sandbox.layout.port('bus')])

    def cut_off(self, node, ports):
        with self.lab.cut_off(node, ports):
            self.wait_until_fenced(node)
            time.sleep(_LOAD_S)
        self.revived(node)

    def revived(self, node):
        """Play the service manager: start again what has ended."""
        def up():
            self.lab.revive(node)
            return base.node_up(self.sandbox, self.lab.host(node))
        self.wait_until(up, f'{node.name} up again')


class TestRestart(base.ResumeTestCase):
    """One volume service without a cluster."""

    nodes = 1

    def test_a_restart_finishes_what_was_begun(self):
        service = self.cinder_volume.service
        with self.stream() as stream:
            time.sleep(_LOAD_S)
            self.busy(stream)
            service.kill()
            time.sleep(1)
            service.start()
            self.wait_until(lambda: base.node_up(self.sandbox, 'sandbox'),
                            'the service again')
            time.sleep(_LOAD_S)
        self.judge(stream)
