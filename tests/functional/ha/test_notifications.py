# SPDX-License-Identifier: Apache-2.0
"""Events of the agent on a real RabbitMQ."""

from pathlib import Path
import queue
import shutil
import tempfile

import fixtures
from oslo_config import cfg
import oslo_messaging
from oslotest import base

from cinder_tagged.ha.adapters import history
from devstack.sandbox.bus import Bus
from devstack.sandbox.layout import Layout
from devstack.sandbox.settings import Settings
from tests.functional.ha import lab as labs


class Endpoint:
    """Keeps what comes, by priority."""

    def __init__(self):
        self.seen = queue.SimpleQueue()

    def info(self, context, publisher, event, payload, metadata):
        self.seen.put(('info', publisher, event, payload))

    def warn(self, context, publisher, event, payload, metadata):
        self.seen.put(('warn', publisher, event, payload))


class NotificationsTest(base.BaseTestCase):

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        state = Path(tempfile.mkdtemp()) / 'bus'
        cls.layout = Layout.create(Settings(state=state))
        cls.addClassCleanup(shutil.rmtree, state.parent, True)
        cls.layout.guard.watch()
        cls.addClassCleanup(cls.layout.guard.close)
        cls.bus = Bus(cls.layout)
        cls.bus.configure()
        cls.addClassCleanup(cls.bus.node.stop)
        cls.bus.start()

    def setUp(self):
        super().setUp()
        self.conf = cfg.ConfigOpts()
        self.conf([], default_config_files=[])
        transport = oslo_messaging.get_notification_transport(
            self.conf, url=self.layout.transport_url)
        self.conf.set_override('transport_url', self.layout.transport_url)
        self.endpoint = Endpoint()
        self.listener = oslo_messaging.get_notification_listener(
            transport, [oslo_messaging.Target(topic='notifications')],
            [self.endpoint], executor='threading')
        self.listener.start()
        self.addCleanup(self._end)
        directory = self.useFixture(fixtures.TempDir()).path
        self.history = history.History(f'{directory}/history.jsonl')

    def _end(self):
        self.listener.stop()
        self.listener.wait()

    def _next(self, publisher):
        """The next event of ``publisher``; others come from another test."""
        while True:
            seen = self.endpoint.seen.get(timeout=60)
            if seen[1] == publisher:
                return seen

    def test_events_arrive_and_alarms_are_warnings(self):
        self.history.attach(history.bus(self.conf, 'n1'))
        self.history.add('taken', 'control', {'epoch': 4})
        self.history.add('conflict', 'control', {'mac': '02:00:00:00:00:01'})
        first, second = self._next('ha.n1'), self._next('ha.n1')
        self.assertEqual(('info', 'ha.n1', 'ha.taken'), first[:3])
        self.assertEqual(('control', 4), (first[3]['role'],
                                          first[3]['epoch']))
        self.assertEqual(('warn', 'ha.n1', 'ha.conflict'), second[:3])

    def test_bus_that_hangs_does_not_hold_up_the_history(self):
        self.history.attach(history.bus(self.conf, 'n2'))
        self.history.add('taken', 'control', {'epoch': 1})
        self._next('ha.n2')
        self.bus.node.pause()
        self.addCleanup(self.bus.node.resume)
        for epoch in range(2, 12):
            self.history.add('taken', 'control', {'epoch': epoch})
        labs.wait_for(lambda: len(self.history.last(100)) == 11,
                      'all events are in the file')
