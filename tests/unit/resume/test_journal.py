# SPDX-License-Identifier: Apache-2.0
import dataclasses

from oslo_db import exception as db_exception
from oslotest import base
import sqlalchemy as sa
from sqlalchemy import pool

from cinder_tagged.resume import journal
from cinder_tagged.resume.core.decide import State


class TestJournal(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.now = 1000.0
        self.engine = sa.create_engine('sqlite://',
                                       poolclass=pool.StaticPool)
        self.journal = journal.Journal(self.engine, clock=lambda: self.now)
        self.journal.create_tables()

    def open(self, resource='v1', queue=None, method='create_volume'):
        return self.journal.open(method, resource, 'req-1', {'context': {}},
                                 'sealed', queue)

    def register(self, name, **values):
        incarnation = journal.Incarnation(
            name, 'cinder-volume', 'h@b', 'c@b', 'node', 1, {}, self.now,
            self.now)
        self.journal.register(dataclasses.replace(incarnation, **values))

    def claim(self, owner, state=State.RUNNING, resource='v1', queue='c@b'):
        return self.journal.claim('create_volume', resource, 'req-1', owner,
                                  state, queue)

    def test_only_one_claims_a_message(self):
        entry = self.open()
        self.assertEqual((entry, True), self.claim('one'))
        self.assertEqual((None, True), self.claim('two'))

    def test_messages_without_an_entry_are_told_apart(self):
        self.assertEqual((None, False), self.claim('one'))

    def test_a_volume_service_may_be_quicker_than_its_scheduler(self):
        entry = self.open()
        self.claim('scheduler', State.SCHEDULING, queue=None)
        self.assertEqual((entry, True), self.claim('volume'))
        self.journal.hand_on(entry, 'scheduler', 'c@b')
        self.assertFalse(self.journal.close(entry, 'scheduler'))
        found = self.journal.entries()[0]
        self.assertEqual((State.RUNNING, 'volume'),
                         (found.state, found.owner))

    def test_a_claim_wins_against_the_schedulers_note(self):
        entry = self.open()
        self.claim('scheduler', State.SCHEDULING, queue=None)
        noted = []

        @sa.event.listens_for(self.engine, 'after_cursor_execute')
        def hand_on(connection, cursor, statement, *_):
            # Between what the volume service reads and what it writes.
            if statement.startswith('SELECT') and not noted:
                noted.append(statement)
                connection.execute(sa.text(
                    "UPDATE cinder_tagged_entries SET state = 'scheduled', "
                    'owner = NULL'))
        self.assertEqual((entry, True), self.claim('volume'))
        self.assertEqual(1, len(noted))

    def test_what_a_service_learnt_is_kept_with_the_message(self):
        entry = self.open(method='retype')
        self.journal.claim('retype', 'v1', 'req-1', 'one', State.RUNNING)
        self.journal.learn(entry, 'two', {'host': 'elsewhere'})
        self.journal.learn(entry, 'one', {'host': 'h'})
        self.assertEqual({'context': {}, 'learnt': {'host': 'h'}},
                         self.journal.entries()[0].message)

    def test_a_message_that_waited_is_no_attempt(self):
        entry = self.open()
        self.journal.take_over(self.journal.entries()[0], 'one',
                               State.RUNNING, 'c@b')
        self.assertEqual(0, self.journal.entries()[0].attempts)
        self.journal.take_over(self.journal.entries()[0], 'two',
                               State.RUNNING, 'c@b')
        found = self.journal.entries()[0]
        self.assertEqual((entry, 'two', 1),
                         (found.id, found.owner, found.attempts))

    def test_a_second_scheduler_cannot_claim_what_one_has(self):
        self.open()
        self.claim('one', State.SCHEDULING, queue=None)
        self.assertEqual((None, True),
                         self.claim('two', State.SCHEDULING, queue=None))

    def test_closing_is_for_the_owner(self):
        entry = self.open()
        self.claim('one')
        self.assertFalse(self.journal.close(entry, 'two'))
        self.assertFalse(self.journal.close(entry, None))
        self.assertTrue(self.journal.close(entry, 'one'))
        self.assertEqual([], self.journal.entries())

    def test_work_is_left_behind_only_once_its_owner_is_cut_off(self):
        self.register('dead')
        self.open()
        self.claim('dead')
        self.now += 10 ** 6
        self.assertEqual([], self.journal.left_behind(self.now, 9, 'c@b'))
        self.journal.fence('dead', 'killed')
        self.assertEqual([], self.journal.left_behind(self.now, 9, 'c@b'))
        self.journal.mark_cut('dead')
        left = self.journal.left_behind(self.now, 9, 'c@b')
        self.assertEqual(['v1'], [e.resource_id for e in left])
        self.assertEqual([], self.journal.left_behind(self.now, 9, 'x@y'))
        self.assertEqual([], self.journal.left_behind(self.now, 9, None))

    def test_messages_that_nobody_claimed_are_left_behind_in_time(self):
        self.open()
        self.assertEqual([], self.journal.left_behind(self.now, 9, None))
        self.assertEqual(1, len(self.journal.left_behind(self.now + 1, 9,
                                                         None)))

    def test_only_one_takes_over(self):
        self.open()
        seen = self.journal.left_behind(self.now + 1, 9, None)[0]
        took = [self.journal.take_over(seen, who, State.SCHEDULING, None)
                for who in ('one', 'two')]
        self.assertEqual([True, False], took)
        self.assertEqual('one', self.journal.entries()[0].owner)
        # The late message finds it claimed, and is dropped.
        self.assertEqual((None, True),
                         self.claim('three', State.SCHEDULING))

    def test_what_is_put_back_can_be_claimed_again(self):
        entry = self.open()
        self.claim('one')
        self.journal.put_back(entry, 'one')
        self.assertEqual((entry, True),
                         self.claim('two', State.SCHEDULING, queue=None))
        self.journal.put_back(entry, 'two', 'c@b')
        self.assertEqual(State.SCHEDULED, self.journal.entries()[0].state)
        self.assertEqual('c@b', self.journal.entries()[0].queue)

    def test_a_fenced_process_learns_of_it(self):
        self.register('one')
        self.journal.beat('one')
        self.assertTrue(self.journal.fence('one', 'it was frozen'))
        self.assertFalse(self.journal.fence('one', 'again'))
        error = self.assertRaises(journal.Fenced, self.journal.beat, 'one')
        self.assertEqual('it was frozen', str(error))
        self.assertRaises(journal.Fenced, self.journal.clients, 'one',
                          {'fsid': ['addr']})
        self.assertRaises(journal.Fenced, self.journal.beat, 'unknown')

    def test_owners_of_work_are_not_forgotten(self):
        for name in ('idle', 'owner', 'live'):
            self.register(name)
        self.open()
        self.claim('owner')
        for name in ('idle', 'owner'):
            self.journal.fence(name, 'dead')
            self.journal.mark_cut(name)
        self.journal.forget(['idle', 'owner', 'live'])
        self.assertEqual(3, len(self.journal.incarnations()))
        self.now += 3601
        self.journal.forget(['idle', 'owner', 'live'])
        self.assertEqual({'owner', 'live'},
                         {i.id for i in self.journal.incarnations()})

    def test_two_requests_to_do_the_same_are_told_apart(self):
        first = self.open()
        self.claim('one')
        second = self.journal.open('create_volume', 'v1', 'req-2', {}, None,
                                   None)
        self.assertEqual((second, True), self.journal.claim(
            'create_volume', 'v1', 'req-2', 'one', State.RUNNING, 'c@b'))
        # A message of the first that is delivered again takes neither.
        self.assertEqual((None, True), self.claim('two'))
        self.assertTrue(self.journal.close(first, 'one'))
        self.assertEqual((None, False), self.claim('two'))

    def test_what_is_offered_can_be_taken_at_once(self):
        self.open(queue='c@b')
        self.assertTrue(self.journal.offer('create_volume', 'v1', 'req-1'))
        self.assertEqual(1, len(self.journal.left_behind(1, 9, 'c@b')))
        self.claim('one')
        self.assertFalse(self.journal.offer('create_volume', 'v1', 'req-1'))

    def test_a_process_is_cut_off_once_each_of_its_clusters_cut_it(self):
        self.register('dead', clients={'f1': ['a'], 'f2': ['b']})
        self.journal.fence('dead', 'killed')
        self.journal.cut_from('dead', 'f1')
        left = self.journal.incarnations()[0]
        self.assertEqual(({'f2': ['b']}, None), (left.clients, left.cut_at))
        self.journal.cut_from('dead', 'f2')
        self.assertEqual(self.now, self.journal.incarnations()[0].cut_at)

    def test_outcomes_add_up(self):
        for seconds in (1.0, 5.0, 3.0):
            self.journal.count('create_volume', 'resumed', seconds)
        self.journal.count('create_volume', 'failed', 2.0)
        self.assertEqual(
            [('failed', 1, 2.0, 2.0), ('resumed', 3, 9.0, 5.0)],
            [(o['outcome'], o['number'], o['seconds'], o['longest'])
             for o in self.journal.outcomes()])

    def refuse_once(self, verb, error):
        """Have the next such statement fail; return those that were tried."""
        tried = []

        def refuse(connection, cursor, statement, *_):
            if statement.startswith(verb):
                tried.append(statement)
                if len(tried) == 1:
                    raise error
        sa.event.listen(self.engine, 'before_cursor_execute', refuse)
        return tried

    def test_a_deadlock_costs_nothing(self):
        entry = self.open(queue='c@b')
        tried = self.refuse_once('UPDATE', db_exception.DBDeadlock())
        self.assertEqual((entry, True), self.claim('one'))
        self.assertEqual(2, len(tried))
        tried = self.refuse_once('DELETE FROM cinder_tagged_reservations',
                                 db_exception.DBDeadlock())
        self.assertTrue(self.journal.close(entry, 'one'))
        self.assertEqual(2, len(tried))
        self.assertEqual([], self.journal.entries())

    def test_an_entry_is_closed_though_the_connection_was_lost(self):
        entry = self.open(queue='c@b')
        self.claim('one')
        self.refuse_once('DELETE', db_exception.DBConnectionError())
        self.assertTrue(self.journal.close(entry, 'one'))
        self.assertEqual([], self.journal.entries())

    def test_a_claim_is_not_repeated_when_its_answer_was_lost(self):
        # It may have been committed: then it would look like another's.
        self.open(queue='c@b')
        self.refuse_once('UPDATE', db_exception.DBConnectionError())
        self.assertRaises(db_exception.DBConnectionError, self.claim, 'one')
