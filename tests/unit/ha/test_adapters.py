# SPDX-License-Identifier: Apache-2.0
"""Adapters as far as they need no kernel, etcd or network."""

import ipaddress
import os
import queue
import tempfile
from unittest import mock

import ddt
import fixtures
from oslo_config import cfg
from oslotest import base

from cinder_tagged.ha import cli
from cinder_tagged.ha import options
from cinder_tagged.ha import settings
from cinder_tagged.ha.adapters import datagrams
from cinder_tagged.ha.adapters import datasync
from cinder_tagged.ha.adapters import etcd
from cinder_tagged.ha.adapters import history
from cinder_tagged.ha.adapters import kernel
from cinder_tagged.ha.adapters import pointing
from cinder_tagged.ha.adapters import probes
from cinder_tagged.ha.adapters import resources
from cinder_tagged.ha.adapters import wire
from cinder_tagged.ha.core import messages
from cinder_tagged.ha.core import record as rec

KEY = b'k' * 32


class CodecTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.a = datagrams.Codec('a', [KEY])
        self.b = datagrams.Codec('b', [KEY])
        # Hello and answer: each learns the other's incarnation.
        self._pass(self.a, self.b)
        self._pass(self.b, self.a)
        self.assertTrue(self._pass(self.a, self.b))

    def _pass(self, sender, receiver, message=None):
        packet = self._packet(sender, receiver, message)
        try:
            return receiver.open(packet)
        except datagrams.Refused:
            return None

    def _packet(self, sender, receiver, message=None):
        return sender.seal(message or messages.Beat(),
                           [receiver.node])[receiver.node]

    def test_message_arrives(self):
        ack = messages.Ack('control', 4)
        self.assertEqual(('a', ack), self._pass(self.a, self.b, ack))

    def test_open_fails_on_a_replay(self):
        packet = self._packet(self.a, self.b)
        self.b.open(packet)
        self.assertRaises(datagrams.Refused, self.b.open, packet)

    def test_open_fails_on_another_key(self):
        stranger = datagrams.Codec('a', [b'x' * 32])
        self.assertRaises(datagrams.Refused, self.b.open,
                          self._packet(stranger, self.b))

    def test_open_fails_on_one_changed_bit(self):
        packet = bytearray(self._packet(self.a, self.b))
        packet[len(packet) // 2] ^= 1
        self.assertRaises(datagrams.Refused, self.b.open, bytes(packet))

    def test_open_fails_on_a_packet_for_somebody_else(self):
        other = datagrams.Codec('c', [KEY])
        self.assertRaises(datagrams.Refused, other.open,
                          self._packet(self.a, self.b))

    def test_a_packet_recorded_before_a_restart_proves_nothing(self):
        recorded = [self._packet(self.a, self.b) for _ in range(3)]
        again = datagrams.Codec('b', [KEY])
        for packet in recorded:
            self.assertRaises(datagrams.Refused, again.open, packet)

    def test_a_restarted_peer_is_heard_again(self):
        again = datagrams.Codec('a', [KEY])
        with mock.patch.object(datagrams, 'STALE', -1.0):
            self._pass(again, self.b)
            self._pass(self.b, again)
            self.assertTrue(self._pass(again, self.b))

    def test_an_earlier_process_is_not_heard_any_more(self):
        old = self._packet(self.a, self.b)
        self.test_a_restarted_peer_is_heard_again()
        self.assertRaises(datagrams.Refused, self.b.open, old)

    def test_late_packets_count_once(self):
        packets = [self._packet(self.a, self.b) for _ in range(3)]
        for packet in reversed(packets):
            self.assertTrue(self.b.open(packet))

    def test_key_can_be_changed_without_a_gap(self):
        new = datagrams.Codec('c', [b'n' * 32, KEY])
        old = datagrams.Codec('d', [KEY, b'n' * 32])
        self._pass(new, old)
        self._pass(old, new)
        self.assertTrue(self._pass(new, old))


@ddt.ddt
class KeysTest(base.BaseTestCase):

    def test_read_keys(self):
        self.assertEqual([b'\xab' * 32, b'\xcd' * 32], datagrams.read_keys(
            'ab' * 32 + '\n' + 'cd' * 32 + '\n'))

    @ddt.data('', 'abcd', 'not hexadecimal')
    def test_read_keys_fails_with_a_remedy(self, text):
        error = self.assertRaises(ValueError, datagrams.read_keys, text)
        self.assertIn('openssl rand -hex 32', str(error))


class RulesetTest(base.BaseTestCase):

    def test_each_address_has_its_own_set(self):
        text = kernel.ruleset({
            'control': ('eth0', (ipaddress.ip_interface('10.0.0.9/24'),
                                 ipaddress.ip_interface('fd00::9/64'))),
            'image': ('eth1', (ipaddress.ip_interface('10.0.1.9/24'),))})
        self.assertIn('set open4_control', text)
        self.assertIn('arp saddr ip 10.0.1.9 arp saddr ip != @open4_image',
                      text)
        self.assertEqual(2, text.count('hook egress'))


class WireTest(base.BaseTestCase):

    def _listener(self, seen):
        listener = wire.Listener.__new__(wire.Listener)
        listener._addresses = {'10.0.0.9', 'fd00::9'}
        listener._foreign = lambda address, mac: seen.append((address, mac))
        listener._mac = b'\2' + b'\0' * 5
        return listener

    def test_foreign_claims_are_seen_own_are_not(self):
        seen = []
        listener = self._listener(seen)
        nine = ipaddress.IPv4Address('10.0.0.9')
        six = ipaddress.IPv6Address('fd00::9')
        for mac in (b'\2' + b'\0' * 5, b'\2' + b'\1' * 5):
            listener.look(wire.arp(mac, nine, nine, 2))
            listener.look(wire.advertisement(mac, six))
        foreign = '02:01:01:01:01:01'
        self.assertEqual([('10.0.0.9', foreign), ('fd00::9', foreign)], seen)

    def test_probe_claims_nothing(self):
        seen = []
        listener = self._listener(seen)
        mac = b'\2' + b'\1' * 5
        listener.look(wire.arp(mac, ipaddress.IPv4Address(0),
                               ipaddress.IPv4Address('10.0.0.9'), 1))
        listener.look(wire.solicitation(
            mac, ipaddress.IPv6Address(0), ipaddress.IPv6Address('fd00::9')))
        self.assertEqual([], seen)


class EtcdTest(base.BaseTestCase):

    def _etcd(self, *members):
        """An Etcd whose members are functions txn -> answer."""
        calls = {f'http://m{i}:1': call for i, call in enumerate(members)}

        def connect(access, endpoint, timeout):
            return mock.Mock(transaction=calls[endpoint])
        patch = mock.patch.object(etcd, 'connect', connect)
        patch.start()
        self.addCleanup(patch.stop)
        client = etcd.Etcd(etcd.Access(tuple(calls)), 1.0)
        self.addCleanup(client.close)
        return client

    def test_a_failing_member_is_hedged(self):
        def fails(txn):
            raise OSError('no route')
        client = self._etcd(fails, lambda txn: {'succeeded': True})
        self.assertEqual({'succeeded': True}, client.call({}))

    def test_nobody_answers_by_the_deadline(self):
        def fails(txn):
            raise OSError('no route')
        client = self._etcd(fails, fails)
        self.assertRaises(etcd.EtcdError, client.call, {}, 0.2)

    def test_unreadable_record_is_no_record(self):
        bad = {'succeeded': True, 'responses': [
            {'response_range': {'kvs': [{
                'value': etcd.b64('garbage'), 'mod_revision': '3'}]}},
            {'response_range': {}}]}
        answers = queue.SimpleQueue()
        self._etcd(lambda txn: bad).read('control', answers.put)
        self.assertIsNone(answers.get(timeout=20))

    def test_lost_swap_shows_the_present_record(self):
        record = rec.Record(3, 'b', 'b.1', hold=0.6, shut=2, revision=5)
        lost = {'responses': [
            {'response_range': {'kvs': [{
                'value': etcd.b64(rec.dump(record)), 'mod_revision': '5'}]}},
            {'response_range': {'kvs': [{'value': etcd.b64('2')}]}}]}
        answers = queue.SimpleQueue()
        self._etcd(lambda txn: lost).swap('control', 4, record, answers.put)
        self.assertEqual((False, record, 2), answers.get(timeout=20))


@ddt.ddt
class OptionsTest(base.BaseTestCase):

    GOOD = ('[ha]\nnode = a\nmembers = a=10.0.0.1,b=10.0.0.2;r1;5\n'
            'peer_key_file = {key}\n'
            '[ha_role_control]\naddresses = 10.0.0.100/24\n'
            'interface = eth0\n')

    def _conf(self, text):
        directory = self.useFixture(_Directory()).path
        key = os.path.join(directory, 'key')
        with open(key, 'w') as target:
            target.write('ab' * 32)
        path = os.path.join(directory, 'ha.conf')
        with open(path, 'w') as target:
            target.write(text.replace('{key}', key))
        return cli.load(path)

    def test_good(self):
        self.assertEqual([], list(settings.problems(self._conf(self.GOOD))))

    @ddt.data(
        ('node = a', 'node = z', '[ha] node = z'),
        ('a=10.0.0.1,', 'a=10.0.0.1;r;x,', '[ha] members'),
        ('a=10.0.0.1,', 'a=10.0.0,', '[ha] members'),
        ('{key}', '/nowhere', '[ha] peer_key_file = /nowhere'),
        ('10.0.0.100/24', '10.0.0.300', '[ha_role_control] addresses'),
        ('10.0.0.100/24', '10.0.0.1/24,10.0.0.2/24', 'two of one family'),
        ('interface = eth0', '', '[ha_role_control] interface'),
        ('interface = eth0', 'interface = e\ndropins = /x', 'dropins'),
        ('[ha_role', '[ha_timing]\nrenew = 0.5\n[ha_role', '[ha_timing]'))
    @ddt.unpack
    def test_problems_name_the_option(self, old, new, named):
        found = list(settings.problems(self._conf(
            self.GOOD.replace(old, new))))
        self.assertTrue(any(named in text for text in found), found)

    def test_bad_value_names_its_option(self):
        error = self.assertRaises(
            settings.BadConfig, self._conf,
            self.GOOD + 'strategy = nearest\n')
        self.assertIn('strategy', str(error))

    def test_every_option_has_help_and_is_listed(self):
        for group, opts in options.list_opts():
            for opt in opts:
                self.assertTrue(opt.help, f'[{group}] {opt.name}')
        self.assertIsInstance(options.NODE_OPTS[0], cfg.StrOpt)


class _Directory(fixtures.Fixture):

    def _setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.path = directory.name


class FilesTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.directory = self.useFixture(_Directory()).path

    def _path(self, name):
        return os.path.join(self.directory, name)

    def test_newest_event_is_known_before_the_file_has_it(self):
        kept = history.History(self._path('no such directory/h'))
        kept.add('refused', 'control', {'why': 'on standby'})
        self.assertEqual('on standby', kept.newest['refused']['why'])

    def test_history_skips_a_torn_line(self):
        with open(self._path('h'), 'w') as target:
            target.write('{"event": "taken"}\n{"eve')
        self.assertEqual([{'event': 'taken'}],
                         history.read(self._path('h')))

    def test_dropin_is_written_once(self):
        with open(self._path('t'), 'w') as target:
            target.write('host = $holder_ip\n')
        pair = f'{self._path("t")}={self._path("out")}'
        reload = [f'touch {self._path("reloaded")}']
        values = {'holder_ip': '10.0.0.1'}
        self.assertEqual([], pointing.apply([pair], reload, 10, values))
        self.assertTrue(os.path.exists(self._path('reloaded')))
        os.unlink(self._path('reloaded'))
        pointing.apply([pair], reload, 10, values)
        self.assertFalse(os.path.exists(self._path('reloaded')))

    def test_failures_are_told(self):
        failures = pointing.apply(
            [f'/nowhere={self._path("out")}'], ['false'], 10, {})
        self.assertEqual(1, len(failures))
        failures = pointing.apply([], ['false'], 10, {})
        self.assertIn('exit 1', failures[0])

    def test_digest_tells_any_difference(self):
        one = {'a': datasync.Entry('a', b'x', 0o600, 'n', 1)}
        two = {'a': datasync.Entry('a', b'y', 0o600, 'n', 1)}
        self.assertNotEqual(datasync.total_digest(one),
                            datasync.total_digest(two))

    def test_too_large_data_is_refused(self):
        store = datasync.Store(mock.Mock(
            access=etcd.Access(('http://m:1',))))
        self.assertRaises(datasync.DataError, store.put, datasync.Entry(
            'a', b'x' * (datasync.LARGEST + 1), 0o600, 'n', 1))


class ProbesTest(base.BaseTestCase):

    def test_pid_of_a_dead_process_is_unsound(self):
        path = os.path.join(self.useFixture(_Directory()).path, 'pid')
        with open(path, 'w') as target:
            target.write(str(os.getpid()))
        probes.pid(path, 1)
        with open(path, 'w') as target:
            target.write('4194305')
        self.assertRaises(probes.Unsound, probes.pid, path, 1)

    def test_hung_probe_is_a_fault(self):
        watch = probes.Watch('x', lambda t, d: None, '', 0.01, 0.01, 1,
                             lambda: None)
        watch._text, watch._done_at = '', watch._done_at - 60
        self.assertIn('no answer', watch.fault)

    def test_unknown_kind_is_refused(self):
        self.assertRaises(ValueError, probes.parse, 'ftp:x')


class ResourcesTest(base.BaseTestCase):

    def test_order_and_stop_at_the_first_failure(self):
        done = []

        def member(name, fails=False):
            def start(environ):
                done.append(('start', name))
                if fails:
                    raise resources.ResourceError('no')
            return mock.Mock(
                start=start, stop=lambda: done.append(('stop', name)),
                **{'name': name})
        group = resources.Group('control', [
            member('a'), member('b', fails=True), member('c')])
        self.assertEqual(1, len(group.start(3, '10.0.0.1')))
        group.stop()
        self.assertEqual(
            [('start', 'a'), ('start', 'b'), ('stop', 'c'), ('stop', 'b'),
             ('stop', 'a')], done)

    def test_what_has_a_clock_of_its_own_is_not_stopped_by_a_lapse(self):
        conf = mock.Mock(start='true', stop='touch stopped', status='',
                         deadline=10)
        plain = resources.Command('plain', conf)
        clocked = mock.Mock(lapse=mock.Mock(), stop=mock.Mock())
        group = resources.Group('control', [clocked, plain])
        with mock.patch.object(resources, 'run') as run:
            self.assertEqual([], group.lapse())
            run.assert_called_once_with(['touch', 'stopped'], 10, {})
        clocked.lapse.assert_called_once_with()
        clocked.stop.assert_not_called()

    def test_command_has_a_deadline(self):
        self.assertRaises(resources.ResourceError, resources.run,
                          ['sleep', '60'], 0.1, {})
