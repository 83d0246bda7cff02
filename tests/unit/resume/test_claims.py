# SPDX-License-Identifier: Apache-2.0
"""Where a resource is, as Cinder's own tables have it."""

from unittest import mock

import ddt
from oslotest import base
import sqlalchemy as sa

from cinder_tagged import cinder_database
from cinder_tagged.resume import claims
from cinder_tagged.resume.core.operations import OPERATIONS

models = cinder_database.models
VOLUME = 'a' * 36
SNAPSHOT = 'b' * 36


@ddt.ddt
class TestUnfinished(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.engine = sa.create_engine('sqlite://')
        models.Volume.metadata.create_all(self.engine)
        patch = mock.patch.object(cinder_database.api, 'get_engine',
                                  lambda: self.engine)
        patch.start()
        self.addCleanup(patch.stop)

    def put(self, model, **values):
        with self.engine.begin() as connection:
            connection.execute(sa.insert(model).values(
                deleted=False, volume_type_id='t', **values))

    def unfinished(self, method, resource):
        return claims.unfinished(OPERATIONS[method], resource)

    @ddt.data(('h@b#p', 'c@b#p', 'c@b#p'), ('h@b#p', None, 'h@b#p'),
              (None, None, None))
    @ddt.unpack
    def test_a_volume_under_way_is_where_its_service_is(self, host, cluster,
                                                        service):
        self.put(models.Volume, id=VOLUME, status='creating', host=host,
                 cluster_name=cluster, use_quota=True)
        self.assertEqual(claims.Unfinished(service),
                         self.unfinished('create_volume', VOLUME))

    def test_a_snapshot_under_way_is_where_its_volume_is(self):
        self.put(models.Volume, id=VOLUME, status='available', host='h@b#p',
                 use_quota=True)
        self.put(models.Snapshot, id=SNAPSHOT, volume_id=VOLUME,
                 status='creating', use_quota=True)
        self.assertEqual(claims.Unfinished('h@b#p'),
                         self.unfinished('create_snapshot', SNAPSHOT))

    @ddt.data('available', 'error')
    def test_what_has_ended_is_not_unfinished(self, status):
        self.put(models.Volume, id=VOLUME, status=status, host='h@b#p',
                 use_quota=True)
        self.assertIsNone(self.unfinished('create_volume', VOLUME))

    def test_what_is_gone_is_not_unfinished(self):
        self.assertIsNone(self.unfinished('delete_volume', VOLUME))
