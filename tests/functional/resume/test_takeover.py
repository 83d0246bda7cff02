# SPDX-License-Identifier: Apache-2.0
"""A node fails under load: no accepted request is lost.

Nobody says that a node is dead; its peers notice. ``CINDER_TAGGED_FULL`` has
every fault ten times, at random moments.
"""

import os
import random
import shlex
import sys
import time

import ddt

from devstack.sandbox import cinder
from tests.functional.ha import lab
from tests.functional.resume import base

FULL = bool(os.environ.get('CINDER_TAGGED_FULL'))
#: What the HA agent's command gives as its reason.
_HOOK_SAYS = 'the HA agents miss the node'
FAULTS = ('kill', 'freeze', 'cut_from_ceph', 'cut_from_bus')
_TIMES = 10
#: Under load between two faults, seconds.
_LOAD_S = 5


@ddt.ddt
class TestTakeover(base.ResumeTestCase):
    """Three nodes; without FULL all faults in one stack, once each."""

    @ddt.named_data(*([*([fault, *[fault] * _TIMES] for fault in FAULTS),
                       ['die', 'die']] if FULL else [['each', *FAULTS]]))
    def test_a_node_that_fails_costs_no_request(self, *faults):
        dice = random.SystemRandom()
        with self.stream() as stream:
            for number, fault in enumerate(faults):
                hosts = list(self.cinder_volume.nodes)
                time.sleep(_LOAD_S * dice.uniform(0.5, 1.5))
                self.busy(stream)
                getattr(self, fault)(hosts[number % len(hosts)])
            time.sleep(_LOAD_S)
        self.judge(stream)

    def kill(self, host):
        self.cinder_volume.nodes[host].kill()
        self.wait_until(lambda: self.fenced(host), f'{host} fenced')
        self.start(host)

    def freeze(self, host):
        self.cinder_volume.nodes[host].pause()
        self.wait_until(lambda: self.fenced(host), f'{host} fenced')
        time.sleep(_LOAD_S)
        self.cinder_volume.nodes[host].resume()
        self.start(host)

    def die(self, host):
        """The machine and its HA agent: a peer's hook says so."""
        hook = shlex.join([
            sys.executable, '-m', 'cinder_tagged.resume.cli',
            '--config-file', str(self.sandbox.layout.state
                                 / 'cinder' / 'cinder.conf'),
            'takeover', '--host', f'{cinder.HOST}-{{node}}',
            '--why', _HOOK_SAYS, '--wait', '30'])
        with lab.Lab(count=3, role_options=f'on_peer_death = {hook}\n') as ha:
            node = next(n for n in ha.nodes if host.endswith(n.name))
            node.die()
            self.cinder_volume.nodes[host].kill()
            peers = [n for n in ha.nodes if n is not node]
            self.wait_until(lambda: [
                event for n in peers for event in n.history()
                if event['event'] == 'peer_death_done'], 'the hook ran')
        self.wait_until(lambda: self.fenced(host), f'{host} fenced')
        self.assertIn(_HOOK_SAYS, self.reasons(host))
        self.start(host)

    def cut_from_ceph(self, host):
        ports = [port for cluster in self.sandbox.clusters.values()
                 for port in base.ceph_ports(cluster)]
        with self.cinder_volume.cut_off(host, ports):
            self.wait_until(lambda: self.fenced(host), f'{host} fenced')
            time.sleep(_LOAD_S)
        self.start(host)

    def cut_from_bus(self, host):
        with self.cinder_volume.cut_off(host,
                                        [self.sandbox.layout.port('bus')]):
            self.wait_until(lambda: self.fenced(host), f'{host} fenced')
            time.sleep(_LOAD_S)
        self.start(host)


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
