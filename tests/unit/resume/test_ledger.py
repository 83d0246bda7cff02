# SPDX-License-Identifier: Apache-2.0
from oslotest import base
import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy import pool

from cinder_tagged.cinder_database import models
from cinder_tagged.resume import journal
from cinder_tagged.resume import ledger
from cinder_tagged.resume.core.decide import State


class TestLedger(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.engine = sa.create_engine('sqlite://',
                                       poolclass=pool.StaticPool)
        models.Reservation.__table__.create(self.engine)
        self.journal = journal.Journal(self.engine)
        self.journal.create_tables()
        ledger.install()
        self.addCleanup(sa.event.remove, models.Reservation, 'after_insert',
                        ledger.note)

    def reserve(self, name, commit=True):
        with orm.Session(self.engine) as session:
            session.add(models.Reservation(
                uuid=name, project_id='p', resource='volumes', delta=-1,
                usage_id=1))
            session.flush()
            if commit:
                session.commit()

    def test_reservations_are_noted_for_the_entry_that_made_them(self):
        with ledger.entry(7):
            self.reserve('a')
            with ledger.entry(8):
                self.reserve('b')
            self.reserve('c')
        self.reserve('d')
        self.assertEqual({'p': ['a', 'c']}, self.journal.reserved(7))
        self.assertEqual({'p': ['b']}, self.journal.reserved(8))

    def test_a_reservation_that_is_rolled_back_leaves_no_note(self):
        with ledger.entry(7):
            self.reserve('a', commit=False)
        self.assertEqual({}, self.journal.reserved(7))

    def test_closing_an_entry_forgets_its_reservations(self):
        entry = self.journal.open('delete_volume', 'v', 'req-1', {}, None,
                                  'c@b')
        self.journal.claim('delete_volume', 'v', 'req-1', 'one',
                           State.RUNNING)
        with ledger.entry(entry):
            self.reserve('a')
        self.journal.close(entry, 'one')
        self.assertEqual({}, self.journal.reserved(entry))
