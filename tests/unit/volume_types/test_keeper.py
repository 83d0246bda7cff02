# SPDX-License-Identifier: Apache-2.0
"""The keeper on Cinder's real database code, over SQLite."""

import threading
from unittest import mock

from cinder import context as cinder_context
from cinder import exception as cinder_exception
from cinder.volume import volume_types
import fixtures
from oslo_db import exception as db_exc
from oslo_db.sqlalchemy import enginefacade
from oslotest import base

from cinder_tagged import features
from cinder_tagged.cinder_database import api as db
from cinder_tagged.cinder_database import models
from cinder_tagged.volume_types import keeper
from cinder_tagged.volume_types import plan


def catalog(*tags):
    return features.Catalog([features.SecondLevelFeature(
        'a', features.Cluster('fsid', 'a', 'volumes'),
        features.parse_tags(tags))] if tags else [])


class Database(fixtures.Fixture):
    """Cinder's database, empty."""

    def _setUp(self):
        place = self.useFixture(fixtures.TempDir()).path
        manager = enginefacade.transaction_context()
        manager.configure(connection=f'sqlite:///{place}/cinder.sqlite',
                          sqlite_fk=True)
        engine = manager.writer.get_engine()
        self.addCleanup(engine.dispose)
        self.addCleanup(db.main_context_manager.patch_factory(manager))
        models.BASE.metadata.create_all(engine)


class TestKeeper(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.useFixture(Database())
        self.log = self.useFixture(fixtures.FakeLogger())
        self.admin = cinder_context.get_admin_context()
        self.keeper = keeper.TypeKeeper(first_delay=0.01, max_delay=0.02)
        self.addCleanup(self.keeper.stop)

    def types(self):
        return {t.name: t for t in keeper.existing_types(self.admin)}

    def wait_for(self, *names):
        """Wait until the keeper's thread has made all of these."""
        for _ in range(3000):
            if set(names) <= set(self.types()):
                return
            threading.Event().wait(0.01)
        self.fail(f'{names} were not made: {self.log.output}')

    def test_makes_types_as_cinder_knows_them(self):
        self.keeper.keep(catalog('medium:ssd', 'db'))
        found = volume_types.get_volume_type_by_name(self.admin, 'ssd')
        self.assertEqual({'feature:require': 'ssd',
                          'feature:managed_by': 'cinder-tagged'},
                         found['extra_specs'])
        self.assertEqual('Storage with the feature "ssd" (medium)',
                         found['description'])
        self.assertTrue(found['is_public'])

    def test_again_changes_nothing(self):
        self.keeper.keep(catalog('ssd', 'db'))
        before = self.types()
        self.assertEqual((), self.keeper.keep(catalog('ssd', 'db')).create)
        self.assertEqual(before, self.types())

    def test_racer_with_an_old_listing_is_refused_by_the_name(self):
        wanted = plan.plan(catalog('ssd').first_level.values(), []).create[0]
        self.assertTrue(keeper.create_type(self.admin, wanted))
        self.assertFalse(keeper.create_type(self.admin, wanted))

    def test_racer_inside_the_insert_is_refused_by_the_id(self):
        wanted = plan.plan(catalog('ssd').first_level.values(), []).create[0]
        self.assertTrue(keeper.create_type(self.admin, wanted))
        # What a second scheduler does whose look for the name came before
        # the first one's commit.
        unseen = cinder_exception.VolumeTypeNotFoundByName(
            volume_type_name='ssd')
        with mock.patch.object(db, '_volume_type_get_by_name',
                               side_effect=unseen):
            self.assertFalse(keeper.create_type(self.admin, wanted))
        self.assertEqual(['ssd'], list(self.types()))

    def test_deleted_type_is_made_again(self):
        for _ in range(3):
            self.keeper.keep(catalog('ssd', 'db'))
            found = volume_types.get_volume_type_by_name(self.admin, 'ssd')
            db.volume_type_destroy(self.admin, found['id'])
        self.keeper.keep(catalog('ssd'))
        self.assertIn('ssd', self.types())

    def test_foreign_type_is_never_touched(self):
        volume_types.create(self.admin, 'ssd', {'gold': 'yes'},
                            description='mine')
        self.keeper.keep(catalog('ssd', 'db'))
        self.assertEqual(
            plan.ExistingType('ssd', {'gold': 'yes'}, 'mine', True),
            self.types()['ssd'])

    def test_private_types_are_seen(self):
        volume_types.create(self.admin, 'ssd', {}, is_public=False)
        self.keeper.keep(catalog('ssd'))
        self.assertFalse(self.types()['ssd'].is_public)

    def test_complains_once_per_change(self):
        volume_types.create(self.admin, 'ssd', {})
        for _ in range(3):
            self.keeper.keep(catalog('ssd'))
        self.assertEqual(1, self.log.output.count('made by somebody else'))
        self.keeper.keep(catalog('db'))
        self.keeper.keep(catalog('ssd', 'db'))
        self.assertEqual(2, self.log.output.count('made by somebody else'))

    def test_last_cluster_gone(self):
        self.keeper.keep(catalog('ssd'))
        found = self.keeper.keep(catalog())
        self.assertEqual(['ssd'], list(found.unserved))
        self.assertIn('ssd', self.types())
        self.assertIn('unserved', self.log.output)

    def test_thread_does_the_work(self):
        self.keeper.catalog_changed(catalog('ssd'))
        self.wait_for('ssd')
        self.keeper.catalog_changed(catalog('ssd', 'db'))
        self.wait_for('ssd', 'db')

    def test_works_again_after_stop(self):
        self.keeper.catalog_changed(catalog('ssd'))
        self.wait_for('ssd')
        self.keeper.stop()
        self.keeper.catalog_changed(catalog('db'))
        self.wait_for('db')

    def test_waits_for_the_database(self):
        real = volume_types.get_all_types
        away = [db_exc.DBConnectionError('gone'), ValueError('odd')]

        def listing(*args, **kwargs):
            if away:
                raise away.pop(0)
            return real(*args, **kwargs)

        with mock.patch.object(volume_types, 'get_all_types', listing):
            self.keeper.catalog_changed(catalog('ssd'))
            for _ in range(3000):
                if not away:
                    break
                threading.Event().wait(0.01)
        self.wait_for('ssd')
        self.assertIn('trying again in 0.01 s', self.log.output)
        self.assertIn('trying again in 0.02 s: odd', self.log.output)
