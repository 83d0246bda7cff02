# SPDX-License-Identifier: Apache-2.0
"""Faults at random, one after the other and on top of each other.

With CINDER_TAGGED_FULL, as many as four hours with one a minute have, in
four parts that each end with a verdict.
The dice are seeded; the seed is in the test's details.
"""

import os
import random
import signal
import time

import ddt
from testtools import content

from tests.functional.ha import lab as labs
from tests.functional.ha import test_takeover

FULL = bool(os.environ.get('CINDER_TAGGED_FULL'))
PARTS, FAULTS = (4, 60) if FULL else (1, 10)
#: No part runs longer than this (s), whatever the machine does.
BOUND = 600 if FULL else 240


@ddt.ddt
class ChaosTest(test_takeover.LabTestCase):

    extra = '[ha_data]\nperiod = 0.3\n'

    def setUp(self):
        super().setUp()
        seed = random.SystemRandom().randrange(10 ** 6)
        self.addDetail('seed', content.text_content(str(seed)))
        self.dice = random.Random(seed)

    def _kill(self, node):
        node.signal(signal.SIGKILL)
        node.agent.wait(30)
        return node.start_agent

    def _freeze(self, node):
        node.signal(signal.SIGSTOP)
        return lambda: node.signal(signal.SIGCONT)

    def _unplug(self, node):
        self.lab.switch.link(node.space, False)
        return lambda: self.lab.switch.link(node.space, True)

    def _cut(self, node):
        rest = [n.name for n in self.lab.nodes if n is not node] + ['c1']
        self.lab.switch.cut([node.name, 'c2'], rest, self.dice.choice(
            ('', labs.PEERS_ONLY, labs.ETCD_ONLY)))
        return self.lab.switch.heal

    def _die(self, node):
        node.die()
        return node.boot

    def _stop_etcd(self, node):
        etcd = self.dice.choice(self.lab.nodes[:3]).etcd
        etcd.send_signal(signal.SIGSTOP)
        return lambda: etcd.send_signal(signal.SIGCONT)

    def _switch(self, node):
        target = self.dice.choice(self.lab.nodes)
        try:
            node.ask(verb='switch', role='control', target=target.name,
                     wait=2)
        except Exception as exc:
            # Refusals are part of the game; the end is what counts.
            self.addDetail('refusal', content.text_content(str(exc)))
        return lambda: None

    @ddt.data(*range(PARTS))
    def test_ends_with_one_holder_and_agreed_data(self, part):
        kinds = (self._kill, self._freeze, self._unplug, self._cut,
                 self._die, self._stop_etcd, self._switch)
        end = time.monotonic() + BOUND
        for number in range(FAULTS):
            if time.monotonic() > end:
                break
            with self.watched():
                node = (self.lab.holder() if self.dice.random() < 0.6
                        else None) or self.dice.choice(self.lab.nodes)
                undo = self.dice.choice(kinds)(node)
                time.sleep(self.dice.random() * 3)
                undo()
                time.sleep(self.dice.random() * 2)
            if number % 5 == 4:
                self.lab.settled()
        self._agree(self.lab.settled())
        labs.wait_for(self._only_the_holder_has_it,
                      'the address is on the holder alone')
        self._nothing_leaked()

    def _agree(self, holder):
        done = holder.command('data', 'put', 'end', text='of the run')
        self.assertEqual(0, done.returncode, done.stderr)
        for node in self.lab.nodes:
            self.assertEqual('of the run', (
                node.space.files / 'state/data/end').read_text())

    def _only_the_holder_has_it(self):
        having = [n for n in self.lab.nodes if n.has_address()]
        return len(having) == 1 and having[0] is self.lab.agrees()

    def _nothing_leaked(self):
        for node in self.lab.nodes:
            tables = node.space.run('nft', 'list', 'tables').split('\n')
            self.assertEqual(
                ['table netdev cinder_tagged_ha'], [t for t in tables if t])
            agents = [
                pid for pid in os.listdir('/proc') if pid.isdigit()
                and self._runs_agent_in(pid, node)]
            self.assertEqual([str(node.agent.pid)], agents, node.name)

    def _runs_agent_in(self, pid, node):
        try:
            with open(f'/proc/{pid}/cmdline', 'rb') as source:
                if b'cinder_tagged.ha.cli' not in source.read():
                    return False
            return (os.readlink(f'/proc/{pid}/ns/net')
                    == os.readlink(f'/proc/{node.space.pid}/ns/net'))
        except OSError:
            return False
