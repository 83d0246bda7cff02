# SPDX-License-Identifier: Apache-2.0
import time
from types import SimpleNamespace
from unittest import mock

from oslo_config import cfg
from oslotest import base
import sqlalchemy as sa
from sqlalchemy import pool

from cinder_tagged.resume import incarnation
from cinder_tagged.resume import journal
from cinder_tagged.resume import options
from cinder_tagged.resume import resumer
from cinder_tagged.resume.core.decide import State

QUEUE = 'c@b'


class Worker:
    """Notes what it is asked to do again."""

    state = State.RUNNING

    def __init__(self):
        self.done = []
        self.blocked = []

    def redo(self, entry, resource):
        self.done.append((entry.method, entry.resource_id))

    def reach(self, fsid, use):
        if fsid != 'mine':
            raise LookupError(fsid)
        use(SimpleNamespace(
            blocklist_add=lambda at, seconds: self.blocked.append(at)))


class TestResumer(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        options.register(cfg.CONF)
        self.journal = journal.Journal(sa.create_engine(
            'sqlite://', poolclass=pool.StaticPool))
        self.journal.create_tables()
        self.life = incarnation.Life(self.journal, 'cinder-volume', 'h2@b',
                                     QUEUE)
        self.register(self.life.id)
        self.worker = Worker()
        self.resumer = resumer.Resumer(self.life, self.worker)
        # At once: no other thread may outlive the test.
        self.resumer._pool = SimpleNamespace(
            submit=lambda work, *arguments: work(*arguments))
        self.resource = SimpleNamespace(status='creating')
        self.patch(resumer.claims, 'find', lambda *_: self.resource)

    def patch(self, owner, name, new):
        patcher = mock.patch.object(owner, name, new)
        patcher.start()
        self.addCleanup(patcher.stop)

    def register(self, name, silent=0.0, **values):
        now = time.time()
        self.journal.register(journal.Incarnation(
            name, 'cinder-volume', f'{name}@b', QUEUE, 'node', 1,
            values.pop('clients', {}), now, now - silent, **values))

    def running(self, owner):
        entry = self.journal.open('create_volume', 'v', 'req-1', {}, None,
                                  QUEUE)
        self.journal.claim('create_volume', 'v', 'req-1', owner,
                           State.RUNNING, QUEUE)
        return entry

    def test_a_silent_peer_is_fenced_cut_off_and_its_work_done_again(self):
        self.register('dead', silent=60,
                      clients={'mine': ['v2:127.0.0.1:0/77']})
        self.running('dead')
        self.resumer.bury()
        self.assertEqual(['127.0.0.1:0/77'], self.worker.blocked)
        self.resumer.look()
        self.assertEqual([('create_volume', 'v')], self.worker.done)
        self.assertEqual([('resumed', 1)], [
            (o['outcome'], o['number']) for o in self.journal.outcomes()])

    def test_work_waits_until_every_cluster_has_cut_its_owner_off(self):
        self.register('dead', silent=60, clients={
            'mine': ['v2:127.0.0.1:0/77'], 'other': ['v2:127.0.0.1:0/78']})
        self.running('dead')
        self.resumer.bury()
        self.resumer.look()
        self.assertEqual([], self.worker.done)
        self.journal.cut_from('dead', 'other')
        self.resumer.look()
        self.assertEqual([('create_volume', 'v')], self.worker.done)

    def test_a_peer_that_gives_signs_of_life_is_left_alone(self):
        self.register('peer', silent=1)
        self.running('peer')
        self.resumer.bury()
        self.resumer.look()
        self.assertEqual([], self.worker.done)

    def test_what_was_sent_before_a_death_need_not_count_as_lost(self):
        self.journal.open('create_volume', 'v', 'req-1', {}, None, QUEUE)
        self.resumer.look()
        self.assertEqual([], self.worker.done)
        time.sleep(0.01)
        self.register('dead', silent=60)
        self.resumer.bury()
        self.resumer.bury()
        self.resumer.look()
        self.assertEqual([('create_volume', 'v')], self.worker.done)

    def test_who_alone_lost_its_cluster_fences_itself(self):
        now = time.time()
        self.life.sick_at = now - 5
        self.life.was_sound = True
        self.register('peer', sound_at=now - 6)
        self.resumer.bury()
        self.journal.beat(self.life.id)  # not fenced: nobody proved it
        self.journal.beat('peer', None, now)
        self.resumer.bury()
        self.assertRaises(journal.Fenced, self.journal.beat, self.life.id)

    def test_work_whose_volume_is_gone_settles_its_quota(self):
        self.resource = None
        self.register('dead', fenced_at=1.0, cut_at=1.0)
        entry = self.running('dead')
        settled = []
        self.patch(resumer.ledger, 'settle',
                   lambda _, i, gone: settled.append((i, gone)))
        self.resumer.look()
        self.assertEqual([(entry, True)], settled)
        self.assertEqual([], self.journal.entries())
