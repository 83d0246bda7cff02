# SPDX-License-Identifier: Apache-2.0
import threading

from cinder import exception
from oslotest import base

from cinder_tagged import features
from cinder_tagged.scheduler import catalog_watch
from cinder_tagged.scheduler import notifications
from tests.unit.scheduler import fakes


class TestPayloads(fakes.SchedulerTestCase):

    def setUp(self):
        super().setUp()
        self.sent = []
        self.manager = self.make_manager()
        self.manager._notifier = notifications.PlacementNotifier(
            lambda context, payload: self.sent.append(payload))
        self.scheduler = self.make_scheduler(self.manager)
        self.conf.config(group='feature', notifications=True)
        self.add_backend(self.manager, 'a', weight=3)
        self.add_backend(self.manager, 'b')
        self.add_backend(self.manager, 'c', tags='hdd')

    def create(self, **values):
        self.scheduler.schedule_create_volume(self.context,
                                              self.spec(**values), {})

    def last(self):
        self.manager._notifier._queue.join()
        return self.sent[-1]

    def test_says_what_was_chosen_and_why(self):
        self.create(size=10)
        told = self.last()
        self.assertEqual('host@a#pool', told['chosen'])
        self.assertEqual(2, told['matched'])
        self.assertEqual('ssd', told['features'])
        self.assertEqual(10, told['size_gb'])
        self.assertEqual(fakes.VOLUME_ID, told['volume_id'])
        self.assertEqual(self.context.request_id, told['request_id'])
        self.assertIn('weight 3 entitles it to 75%', told['reason'])
        self.assertEqual(['host@a#pool', 'host@b#pool'],
                         [v['backend'] for v in told['considered']])

    def test_says_that_nothing_was_found(self):
        self.assertRaises(exception.NoValidBackend, self.create,
                          require='tape')
        told = self.last()
        self.assertIsNone(told['chosen'])
        self.assertEqual(0, told['matched'])
        self.assertIn('no cluster carries the tag tape', told['reason'])

    def test_says_nothing_unless_asked_to(self):
        self.conf.config(group='feature', notifications=False)
        self.create()
        self.manager._notifier._queue.join()
        self.assertEqual([], self.sent)


class TestNotifier(base.BaseTestCase):

    def test_a_stuck_bus_costs_notifications_and_nothing_else(self):
        stuck, sent = threading.Event(), []

        def send(context, payload):
            stuck.wait(60)
            sent.append(payload)

        notifier = notifications.PlacementNotifier(send, size=2)
        for number in range(50):
            notifier.submit(None, lambda number=number: number)
        self.assertGreaterEqual(notifier.dropped, 47)
        stuck.set()
        notifier._queue.join()
        self.assertEqual(50, len(sent) + notifier.dropped)

    def test_a_bus_that_is_away_does_not_end_it(self):
        sent = []

        def send(context, payload):
            if not payload:
                raise RuntimeError('the bus is away')
            sent.append(payload)

        notifier = notifications.PlacementNotifier(send)
        for payload in (0, 1):
            notifier.submit(None, lambda payload=payload: payload)
        notifier._queue.join()
        self.assertEqual([1], sent)


class TestCatalogWatch(base.BaseTestCase):

    @staticmethod
    def feature(name, tags):
        return features.SecondLevelFeature(
            name, features.Cluster(f'fsid-{name}', name, 'p'),
            features.parse_tags(tags))

    def test_passes_on_what_is_new(self):
        known, told = [self.feature('a', 'ssd')], []
        watch = catalog_watch.CatalogWatch(
            lambda: known, lambda: True,
            lambda catalog: told.append(list(catalog.first_level)))
        watch.look()
        watch.look()
        self.assertEqual([['ssd']], told)
        known.append(self.feature('b', 'ssd, db'))
        watch.look()
        self.assertEqual([['ssd'], ['db', 'ssd']], told)

    def test_reports_a_contradiction_once(self):
        known = [self.feature('a', 'medium:ssd'),
                 self.feature('b', 'type:ssd')]
        watch = catalog_watch.CatalogWatch(lambda: known, lambda: True, None)
        with self.assertLogs(catalog_watch.LOG.logger, 'WARNING') as logs:
            watch.look()
            watch.look()
        self.assertEqual(1, len(logs.records))
        known.pop()
        with self.assertLogs(catalog_watch.LOG.logger, 'INFO') as logs:
            watch.look()
        self.assertIn('no longer', logs.output[0])

    def test_gathers_changes_in_a_thread(self):
        told = threading.Event()
        watch = catalog_watch.CatalogWatch(
            lambda: [self.feature('a', 'ssd')], lambda: False,
            lambda catalog: told.set(), gather=0.01, patience=0.03)
        for _ in range(5):
            watch.changed()
        self.assertTrue(told.wait(60))

    def test_a_failing_consumer_does_not_end_it(self):
        told, calls = threading.Event(), []
        known = [self.feature('a', 'ssd')]

        def consumer(catalog):
            calls.append(catalog)
            if len(calls) == 1:
                known.append(self.feature('b', 'db'))
                watch.changed()
                raise RuntimeError('not now')
            told.set()

        watch = catalog_watch.CatalogWatch(
            lambda: list(known), lambda: True, consumer, gather=0.01)
        watch.changed()
        self.assertTrue(told.wait(60))
