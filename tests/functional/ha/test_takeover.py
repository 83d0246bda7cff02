# SPDX-License-Identifier: Apache-2.0
"""Faults on five real nodes: the address moves, and is never held twice.

Who answers is judged from packets captured at clients and from the nodes'
kernels, never from the agents' word.
"""

import contextlib
import signal
import subprocess
import time

from oslotest import base

from tests.functional.ha import judge
from tests.functional.ha import lab as labs


class LabTestCase(base.BaseTestCase):
    """A class of tests that share five nodes."""

    profile = 'default'
    role_options = ''
    extra = ''
    roles = ('control',)
    count = 5

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.lab = labs.Lab(
            cls.profile, cls.count, roles=cls.roles, extra=cls.extra,
            role_options=cls.role_options, prepare=cls.prepare)
        cls.lab.__enter__()

    @classmethod
    def prepare(cls, node):
        """Do what ``node`` needs before its agent starts."""

    @classmethod
    def tearDownClass(cls):
        cls.lab.close()
        super().tearDownClass()

    def setUp(self):
        super().setUp()
        self.holder = self.lab.settled()
        self.others = [n for n in self.lab.nodes if n is not self.holder]

    def epoch(self):
        return self.holder.status()['roles']['control']['epoch']

    @contextlib.contextmanager
    def watched(self):
        """Poll from both clients; afterwards, nothing was held twice."""
        clients = [judge.Client(space, f'10.77.0.{200 + i}', labs.ADDRESS)
                   for i, space in enumerate(self.lab.clients, 1)]
        begin = time.time()
        try:
            yield
            time.sleep(0.5)
        finally:
            for client in clients:
                client.stop()
        end = time.time()
        seen = [s for client in clients for s in client.seen()]
        self.assertTrue(any(s.echo for s in seen), 'nothing was captured')
        self.assertEqual(0.0, judge.held_twice(seen, begin, end))

    def moved(self):
        """Wait until somebody else's kernel passes the address."""
        def other():
            node = self.lab.holder()
            return node if node is not self.holder else None
        node = labs.wait_for(other, f'the role leaves {self.holder.name}')
        self.assertTrue(node.has_address())
        return node


class TakeoverTest(LabTestCase):

    def test_dead_node(self):
        with self.watched():
            self.holder.die()
            self.moved()
        self.holder.boot()
        self.assertIsNot(self.holder, self.lab.settled())

    def test_agent_killed(self):
        with self.watched():
            self.holder.signal(signal.SIGKILL)
            self.moved()
            self.assertFalse(self.holder.gate_open())
        labs.wait_for(lambda: not self.holder.has_address(),
                      'the kernel takes the address off by itself')
        self.holder.start_agent()
        self.lab.settled()

    def test_agent_frozen_and_thawed(self):
        with self.watched():
            self.holder.signal(signal.SIGSTOP)
            new = self.moved()
            self.holder.signal(signal.SIGCONT)
            labs.wait_for(lambda: self.lab.agrees() is new,
                          'the thawed node follows')
        self.assertFalse(self.holder.has_address())

    def test_link_cut(self):
        with self.watched():
            self.lab.switch.link(self.holder.space, False)
            self.moved()
            self.lab.switch.link(self.holder.space, True)
            self.lab.settled()

    def _partition(self, match='', client=True):
        one = [self.holder.name] + (['c2'] if client else [])
        rest = [n.name for n in self.others] + ([] if match else ['c1'])
        self.lab.switch.cut(one, rest, match)
        self.addCleanup(self.lab.switch.heal)

    def test_full_partition_with_clients_on_both_sides(self):
        with self.watched():
            self._partition()
            self.moved()
            labs.wait_for(lambda: not self.holder.has_address(),
                          'the isolated node lets go')
            self.lab.switch.heal()
            self.lab.settled()

    def test_cut_off_from_its_peers_only(self):
        with self.watched():
            self._partition(labs.PEERS_ONLY, client=False)
            self.moved()
            self.lab.switch.heal()
            self.lab.settled()

    def test_cut_off_from_etcd_only(self):
        if self.holder.etcd is not None:
            self._switch_to(self.lab.nodes[4])
        with self.watched():
            self._partition(labs.ETCD_ONLY, client=False)
            self.moved()
            self.lab.switch.heal()
            self.lab.settled()

    def _switch_to(self, node):
        done = node.command('switch', node.name)
        self.assertEqual(0, done.returncode, done.stderr)
        self.holder = self.lab.settled()
        self.others = [n for n in self.lab.nodes if n is not self.holder]
        self.assertIs(node, self.holder)

    def test_a_peer_that_one_node_cannot_hear_is_not_dead(self):
        epoch = self.epoch()
        self.lab.switch.cut([self.holder.name], [self.others[0].name],
                            labs.PEERS_ONLY)
        self.addCleanup(self.lab.switch.heal)
        labs.wait_for(lambda: self.others[0].status()['members'][
            self.holder.name] == 'silent', 'one node misses the holder')
        time.sleep(1)
        self.assertIs(self.holder, self.lab.holder())
        self.assertEqual(epoch, self.epoch())

    def test_etcd_leader_dies_without_a_move(self):
        leader = self.lab.etcd_leader()
        if leader is self.holder:
            self._switch_to(self.lab.nodes[4])
        epoch = self.epoch()
        leader.etcd.kill()
        leader.etcd.wait(30)
        labs.wait_for(lambda: self.lab.agrees() is self.holder,
                      'the holder goes on')
        self.assertEqual(epoch, self.epoch())
        leader.start_etcd()
        self.lab.settled()

    def test_holder_and_etcd_leader_die_together(self):
        leader = self.lab.etcd_leader()
        if leader is not self.holder:
            self._switch_to(leader)
        with self.watched():
            self.holder.die()
            self.moved()
        self.holder.boot()
        self.lab.settled()

    def test_etcd_lost_altogether(self):
        with self.watched():
            for node in self.lab.nodes[:3]:
                node.etcd.send_signal(signal.SIGSTOP)
            labs.wait_for(lambda: not any(
                n.gate_open() for n in self.lab.nodes), 'the holder lets go')
            labs.wait_for(lambda: self.holder.status()['etcd'] == 'lost',
                          'the status says so')
            for node in self.lab.nodes[:3]:
                node.etcd.send_signal(signal.SIGCONT)
            self.lab.settled()

    def test_graceful_stop_hands_over(self):
        with self.watched():
            self.holder.signal(signal.SIGTERM)
            self.moved()
        self.holder.agent.wait(30)
        self.assertFalse(self.holder.has_address())
        self.assertEqual('', self.holder.space.run('nft', 'list', 'ruleset'))
        self.holder.start_agent()
        self.lab.settled()


class OperatorTest(LabTestCase):

    roles = ('control', 'image')

    def test_switch_by_third_and_by_second_message(self):
        for arguments in ((), ('--broadcast',)):
            holder = self.lab.settled()
            target = next(n for n in self.lab.nodes if n is not holder)
            with self.watched():
                done = self.lab.nodes[3].command(
                    'switch', target.name, '--role', 'control', *arguments)
                self.assertEqual(0, done.returncode, done.stderr)
                labs.wait_for(lambda t=target: self.lab.agrees() is t,
                              'all accept the target')

    def test_roles_are_held_apart(self):
        image = self.lab.settled('image')
        target = next(n for n in self.others if n is not image)
        done = target.command('switch', target.name, '--role', 'image')
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertIs(target, self.lab.settled('image'))
        self.assertIs(self.holder, self.lab.settled('control'))
        self.assertTrue(target.has_address('10.77.0.101'))

    def test_ipv6_answers_at_the_holder_only(self):
        self.assertTrue(self.holder.has_address(labs.ADDRESS6))
        # Nothing listens there: a refusal is the address's own answer.
        self.lab.clients[0].run(
            'python3', '-c', 'import errno, socket\n'
            's = socket.socket(socket.AF_INET6)\n'
            's.settimeout(20)\n'
            f'n = s.connect_ex(("{labs.ADDRESS6}", 9))\n'
            'raise SystemExit(n != errno.ECONNREFUSED)')
        neighbours = self.lab.clients[0].run('ip', '-6', 'neigh', 'show',
                                             labs.ADDRESS6)
        self.assertIn(self.holder.mac, neighbours)

    def test_standby_passes_on_and_refuses(self):
        self.assertEqual(0, self.holder.command('standby').returncode)
        self.addCleanup(self.holder.command, 'resume')
        new = self.moved()
        done = new.command('switch', self.holder.name, '--role', 'control',
                           '--wait', '5')
        self.assertEqual(1, done.returncode)
        self.assertIn('standby', done.stderr)
        self.holder.command('resume')
        self.lab.settled()

    def test_switch_to_a_stranger_fails_at_once(self):
        done = self.holder.command('switch', 'n99', '--role', 'control')
        self.assertEqual(1, done.returncode)
        self.assertIn('there is no member n99', done.stderr)

    def test_target_that_dies_midway_is_rolled_back(self):
        target = self.others[0]
        target.signal(signal.SIGSTOP)
        self.addCleanup(target.signal, signal.SIGCONT)
        with self.watched():
            self.holder.command('switch', target.name, '--role', 'control',
                                '--wait', '2')
            time.sleep(1)
            labs.wait_for(self.lab.holder, 'somebody holds the role')
        target.signal(signal.SIGCONT)
        self.assertIsNot(target, self.lab.settled())

    def test_foreign_holder_is_an_alarm_and_blocks_taking(self):
        foreign = self.lab.clients[1]
        foreign.run('ip', 'addr', 'add', '10.77.0.100/24', 'dev', 'eth0')
        self.addCleanup(foreign.run, 'ip', 'addr', 'del', '10.77.0.100/24',
                        'dev', 'eth0', check=False)
        shout = ('arping', '-U', '-c', '1', '-I', 'eth0', labs.ADDRESS)

        def all_see_it():
            # Agents that have just started still learn whose MAC is whose,
            # and take nobody for foreign: so it is said more than once.
            foreign.run(*shout, check=False)
            return all(any(e['event'] == 'conflict' for e in n.history())
                       for n in self.lab.nodes)

        labs.wait_for(all_see_it, 'all see the conflict')
        self.holder.signal(signal.SIGKILL)
        for _ in range(6):
            foreign.run(*shout, check=False)
            self.assertIsNone(self.lab.holder())
            time.sleep(0.4)
        foreign.run('ip', 'addr', 'del', '10.77.0.100/24', 'dev', 'eth0')
        self.moved()
        self.holder.start_agent()
        self.lab.settled()

    def test_metrics_and_history(self):
        out = self.holder.space.run(
            'python3', '-c', 'import urllib.request as r; print(r.urlopen('
            f'"http://{self.holder.ip}:9790/metrics").read().decode())')
        self.assertIn('cinder_tagged_ha_gate_open{role="control"} 1.0', out)
        self.assertIn('cinder_tagged_ha_events_total{event="taken"}', out)
        done = self.holder.command('history', '--json')
        self.assertIn('"event": "taken"', done.stdout)

    def test_two_agents_on_one_node_are_refused(self):
        done = self.holder.command('agent')
        self.assertEqual(1, done.returncode)
        self.assertIn('another agent runs here', done.stderr)

    def test_check_config(self):
        done = self.holder.command('check-config')
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertIn('at worst', done.stdout)


class ServicesTest(LabTestCase):

    role_options = (
        'resources = first,second\n'
        'dropins = /mnt/template=/mnt/dropin.conf\n'
        'reload = touch /mnt/reloaded\n'
        'on_peer_death = sh -c "echo {node} >> /mnt/dead"\n')
    extra = (
        '[ha_probes]\nservices = http://127.0.0.1:8099/\nperiod = 0.2\n'
        'deadline = 0.5\n'
        '[ha_data]\nfiles = /mnt/registered\nperiod = 0.3\n'
        '[ha_resource_first]\ntype = command\n'
        'start = sh -c "echo first $$CINDER_TAGGED_HA_EPOCH >> /mnt/order"\n'
        'stop = sh -c "echo stop-first >> /mnt/order"\n'
        '[ha_resource_second]\ntype = process\nstart = sleep 987654\n')

    @classmethod
    def prepare(cls, node):
        (node.space.files / 'template').write_text(
            'controller = $holder_ip\nepoch = $epoch\n')
        cls.serve(node)

    @staticmethod
    def serve(node):
        node.server = node.space.spawn(
            'python3', '-m', 'http.server', '8099', '--bind', '127.0.0.1',
            log='http', cwd='/')

    def test_hung_service_moves_the_role(self):
        with self.watched():
            self.holder.server.send_signal(signal.SIGSTOP)
            self.moved()
        self.assertIn('127.0.0.1:8099', self.holder.status()['why'])
        self.holder.server.send_signal(signal.SIGCONT)
        self.lab.settled()

    def test_dead_service_moves_the_role(self):
        self.holder.server.kill()
        self.moved()
        self.serve(self.holder)
        self.lab.settled()

    def test_dropins_point_at_the_holder_everywhere(self):
        for node in self.lab.nodes:
            text = (node.space.files / 'dropin.conf').read_text()
            self.assertIn(f'controller = {self.holder.ip}\n', text)
            self.assertTrue((node.space.files / 'reloaded').exists())

    def test_resources_follow_the_role(self):
        def runs(node):
            return subprocess.run(
                ['pgrep', '--ns', str(node.space.pid), '--nslist', 'net',
                 '-f', 'sleep 987654'], capture_output=True,
                check=False).returncode == 0
        labs.wait_for(lambda: runs(self.holder), 'the process runs')
        target = self.others[0]
        target.command('switch', target.name)
        labs.wait_for(lambda: runs(target) and not runs(self.holder),
                      'the process moved')
        order = (self.holder.space.files / 'order').read_text().split('\n')
        self.assertEqual('stop-first', [o for o in order if o][-1])
        self.assertIn('first ', (target.space.files / 'order').read_text())

    def test_data_counts_when_every_node_has_it(self):
        done = self.others[0].command('data', 'put', 'greeting',
                                      text='hello')
        self.assertEqual(0, done.returncode, done.stderr)
        for node in self.lab.nodes:
            self.assertEqual('hello', (
                node.space.files / 'state/data/greeting').read_text())

    def test_node_that_was_away_catches_up_before_it_may_control(self):
        away = self.others[0]
        away.signal(signal.SIGTERM)
        away.agent.wait(30)
        labs.wait_for(lambda: self.holder.status()['members'][
            away.name] == 'silent', 'it is missed')
        done = self.holder.command('data', 'put', 'late', text='news')
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertFalse((away.space.files / 'state/data/late').exists())
        away.start_agent()
        labs.wait_for(lambda: self.lab.agrees(), 'it is fit again')
        self.assertEqual('news', (
            away.space.files / 'state/data/late').read_text())

    def test_command_runs_once_for_a_dead_node_not_for_a_stopped_one(self):
        stopped, dead = self.others[:2]
        stopped.signal(signal.SIGTERM)
        stopped.agent.wait(30)
        dead.die()
        path = self.holder.space.files / 'dead'
        labs.wait_for(path.exists, 'the command runs')
        labs.wait_for(lambda: any(
            e['event'] == 'peer_death_done' for e in self.holder.history()),
            'its end is in the history')
        dead.boot()
        stopped.start_agent()
        self.lab.settled()
        self.assertEqual(f'{dead.name}\n', path.read_text())

    def test_registered_files_follow_the_holder(self):
        stamp = str(time.time())
        (self.holder.space.files / 'registered').write_text(stamp)
        for node in self.others:
            path = node.space.files / 'registered'
            labs.wait_for(lambda p=path: p.exists()
                          and p.read_text() == stamp, 'the file is copied')
