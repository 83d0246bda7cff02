# SPDX-License-Identifier: Apache-2.0

import threading

import fixtures
from oslo_config import fixture as config_fixture
from oslotest import base

from cinder_tagged.scheduler import asked
from cinder_tagged.scheduler import image_holders
from tests.unit.scheduler import fakes

WAIT = 30


class HoldersTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.useFixture(fixtures.FakeLogger())
        self.conf = self.useFixture(config_fixture.Config(
            image_holders.CONF))
        self.conf.config(group='feature', image_preference=20,
                         image_lookup_seconds=WAIT)
        self.now = 0.0
        self.asked = []
        self.answer = ['rbd://f1/images/i/snap', 'cinder://volume',
                       'rbd://f2/volumes/volume-1/snapshot-1']
        self.holders = image_holders.ImageHolders(
            self.ask, lambda: self.now)

    def ask(self, _context, image_id):
        self.asked.append(image_id)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def note(self, **spec):
        properties = {'context': None, 'request_spec': {
            'volume_id': 'v', 'image_id': 'i', **spec}}
        self.holders.note(properties)
        return properties

    def test_notes_the_clusters_and_asks_once(self):
        for _turn in range(3):
            properties = self.note()
        self.assertEqual(['f1', 'f2'], properties[asked.HOLDERS])
        request = asked.request_of(properties)
        self.assertEqual({'f1', 'f2'}, request.holders)
        self.assertEqual(0.2, request.preference)
        self.assertEqual('i', request.image_id)
        self.assertEqual(['i'], self.asked)

    def test_asks_again_later(self):
        self.note()
        self.now += image_holders.KEEP_S + 1
        self.answer = []
        self.assertEqual([], self.note()[asked.HOLDERS])

    def test_no_preference_no_question(self):
        self.conf.config(group='feature', image_preference=0)
        self.assertNotIn(asked.HOLDERS, self.note())
        self.assertEqual([], self.asked)

    def test_only_for_volumes_made_from_images(self):
        for spec in ({'image_id': None}, {'operation': 'extend_volume'}):
            self.assertNotIn(asked.HOLDERS, self.note(**spec))
        self.assertEqual([], self.asked)

    def test_failure_means_no_preference_and_is_kept_a_while(self):
        self.answer = ConnectionError('Glance is away')
        for _turn in range(2):
            self.assertEqual([], self.note()[asked.HOLDERS])
        self.assertEqual(['i'], self.asked)
        self.now += image_holders.FAILED_S + 1
        self.answer = ['rbd://f1/images/i/snap']
        self.assertEqual(['f1'], self.note()[asked.HOLDERS])

    def test_what_is_known_is_bounded(self):
        for number in range(image_holders.MAX_IMAGES + 5):
            self.note(image_id=str(number))
        self.assertEqual(image_holders.MAX_IMAGES, len(self.holders._known))


class SlowGlanceTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.useFixture(fixtures.FakeLogger())
        self.useFixture(config_fixture.Config(image_holders.CONF)).config(
            group='feature', image_lookup_seconds=0)
        self.go = threading.Event()
        self.addCleanup(self.go.set)
        self.holders = image_holders.ImageHolders(self.ask)

    def ask(self, _context, image_id):
        self.go.wait(WAIT)
        return [f'rbd://{image_id}/pool/image/snap']

    def test_nobody_waits_and_questions_are_bounded(self):
        for number in range(image_holders.AT_ONCE + 3):
            self.assertEqual(frozenset(),
                             self.holders.of(None, str(number)))
        self.assertEqual(image_holders.AT_ONCE, len(self.holders._asking))
        asking = list(self.holders._asking.values())
        self.go.set()
        for each in asking:
            each.result(WAIT)
        # The late answer serves those who follow.
        self.assertEqual({'0'}, self.holders.of(None, '0'))


class PreferenceTestCase(fakes.SchedulerTestCase):

    def test_holder_first_through_the_index_and_without(self):
        manager = self.make_manager()
        self.patch('cinder_tagged.scheduler.image_holders.ImageHolders.of',
                   lambda _self, _context, _image: frozenset({'fsid-b'}))
        self.add_backend(manager, 'a', weight=3)
        self.add_backend(manager, 'b')
        self.add_backend(manager, 'c', tags='hdd')
        asks = {'spec': {'image_id': 'image'}}
        self.assertEqual('host@a#pool', self.candidates(
            manager, self.properties(**asks))[0])
        self.conf.config(group='feature', image_preference=100)
        expected = ['host@b#pool', 'host@a#pool']
        self.assertEqual(expected, self.candidates(
            manager, self.properties(**asks)))
        # The ordinary way, backend by backend.
        properties = self.properties(**asks)
        found = manager.get_filtered_backends(
            list(manager.get_all_backend_states(self.context)), properties)
        self.assertEqual(expected, [w.obj.backend_id for w in
                                    manager.get_weighed_backends(
                                        list(found), properties)])

    def test_reported_copies_count(self):
        self.conf.config(group='feature', image_preference=100)
        manager = self.make_manager()
        self.patch('cinder_tagged.scheduler.image_holders.ImageHolders.of',
                   lambda _self, _context, _image: frozenset())
        self.add_backend(manager, 'a', weight=3)
        self.add_backend(manager, 'b', feature_images=['image'])
        self.assertEqual('host@b#pool', self.candidates(
            manager, self.properties(spec={'image_id': 'image'}))[0])
