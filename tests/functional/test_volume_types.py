# SPDX-License-Identifier: Apache-2.0
"""Schedulers that race for the same types, on the real database."""

import threading

from cinder import context as cinder_context
from cinder.db import api as db
import fixtures
from oslo_db.sqlalchemy import enginefacade

from cinder_tagged import features
from cinder_tagged.volume_types import keeper
from tests.functional import base

RACERS = 4
WORDS = [f'race{number}' for number in range(10)]


class TestRace(base.SandboxTestCase):

    def setUp(self):
        super().setUp()
        self.useFixture(fixtures.FakeLogger())
        manager = enginefacade.transaction_context()
        manager.configure(
            connection=self.sandbox.layout.database_url('cinder'))
        self.addCleanup(manager.writer.get_engine().dispose)
        self.addCleanup(db.main_context_manager.patch_factory(manager))
        self.admin = cinder_context.get_admin_context()
        self.addCleanup(self.remove)

    def remove(self):
        for found in self.made():
            db.volume_type_destroy(self.admin, found['id'])

    def made(self):
        return [found for found in db.volume_type_get_all(
            self.admin, list_result=True) if found['name'] in WORDS]

    def race(self):
        catalog = features.Catalog([features.SecondLevelFeature(
            'a', features.Cluster('fsid', 'a', 'volumes'),
            features.parse_tags(WORDS))])
        line = threading.Barrier(RACERS)
        failures = []

        def run():
            line.wait()
            try:
                keeper.TypeKeeper().keep(catalog)
            except Exception as error:
                failures.append(error)

        racers = [threading.Thread(target=run) for _ in range(RACERS)]
        for racer in racers:
            racer.start()
        for racer in racers:
            racer.join(base.DEADLINE_S)
        self.assertEqual([], failures)

    def test_each_type_is_made_once(self):
        self.race()
        self.assertEqual(WORDS, sorted(t['name'] for t in self.made()))

    def test_each_deleted_type_is_made_again_once(self):
        self.race()
        self.remove()
        self.race()
        self.assertEqual(WORDS, sorted(t['name'] for t in self.made()))
        for found in self.made():
            self.assertEqual(found['name'],
                             found['extra_specs']['feature:require'])
