# SPDX-License-Identifier: Apache-2.0
from types import SimpleNamespace
from unittest import mock

import ddt
from oslotest import base

from cinder_tagged.resume import journal
from cinder_tagged.resume import work
from cinder_tagged.resume.core.decide import State

_EXTEND = {'new_size': 2, 'reservations': ['r1', 'r2']}
_RETYPE = {'request_spec': {'volume_type': {'id': 'new'},
                            'quota_reservations': ['r1'],
                            'old_reservations': ['r2']}}


@ddt.ddt
class TestSettleCarried(base.BaseTestCase):
    """Reservations of a request whose service died near its end."""

    def setUp(self):
        super().setUp()
        self.ended = []
        quotas = SimpleNamespace(
            commit=lambda _, found, project_id:
                self.ended.append(('commit', project_id, found)),
            rollback=lambda _, found, project_id:
                self.ended.append(('rollback', project_id, found)))
        patcher = mock.patch.object(work, 'QUOTAS', quotas)
        patcher.start()
        self.addCleanup(patcher.stop)

    def settle(self, method, arguments, resource):
        entry = journal.Entry(
            1, method, 'v', 'req', {
                'context': {'project_id': 'p', 'user_id': 'u',
                            'is_admin': True, 'request_id': 'req'},
                'arguments': arguments},
            None, None, State.RUNNING, None, 0, 0.0, 0.0)
        work.settle_carried(entry, resource)
        return self.ended

    @ddt.data((2, 'commit'), (1, 'rollback'))
    @ddt.unpack
    def test_an_extend_counts_if_the_size_is_there(self, size, end):
        self.assertEqual(
            [(end, 'p', ['r1', 'r2'])],
            self.settle('extend_volume', _EXTEND,
                        SimpleNamespace(size=size)))

    @ddt.data(('new', 'commit'), ('old', 'rollback'))
    @ddt.unpack
    def test_a_retype_counts_if_the_type_is_there(self, kind, end):
        self.assertEqual(
            [(end, 'p', ['r1']), (end, 'p', ['r2'])],
            self.settle('retype', _RETYPE,
                        SimpleNamespace(volume_type_id=kind)))

    def test_what_was_deleted_since_had_been_reached(self):
        self.assertEqual([('commit', 'p', ['r1', 'r2'])],
                         self.settle('extend_volume', _EXTEND, None))

    def test_others_bring_none_along(self):
        self.assertEqual([], self.settle('create_volume', {}, None))
