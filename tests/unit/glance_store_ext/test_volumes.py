# SPDX-License-Identifier: Apache-2.0
"""Volumes: made, kept, removed; with a Cinder in memory."""

import datetime
import types

from cinderclient import exceptions as cinder_exceptions
import ddt
from oslotest import base

from glance_store_ext import sweep
from glance_store_ext import volumes


def _thing(**fields):
    return types.SimpleNamespace(**fields)


class Client:
    """The part of Cinder's API that the store uses.

    :ivar script: states that a look-up returns, one after the other; the
        last one stays, None means "not found"
    """

    def __init__(self, *script):
        self.script = list(script)
        self.done = []
        for name in ('volumes', 'volume_snapshots', 'messages', 'pools'):
            setattr(self, name, self)
        self.attachments = _thing(create=self.hold, delete=self.delete,
                                  list=self.list)

    def get(self, ident):
        state = self.script[0]
        if len(self.script) > 1:
            self.script.pop(0)
        if state is None:
            raise cinder_exceptions.NotFound(404)
        return _thing(id=ident, status=state, size=1, **{
            'os-vol-host-attr:host': 'h@b#p'})

    def create(self, first, *args, **kwargs):
        self.done.append(('create', first))
        if self.script == ['over']:
            raise cinder_exceptions.OverLimit(413, 'VolumeLimitExceeded')
        return _thing(id='new')

    def hold(self, volume, connector):
        self.done.append(('create', volume))
        return {'id': 'hold'}

    def delete(self, ident):
        self.done.append(('delete', ident))

    def force_delete(self, ident):
        self.done.append(('force_delete', ident))

    def list(self, search_opts=None, detailed=False):
        if detailed:
            pool = _thing(name='h@b#p', to_dict=lambda: {
                'location_info': 'ceph:/c:FSID:user:volumes'})
            return [pool]
        if search_opts:
            return [_thing(id='held')]
        return [_thing(resource_uuid='vol', user_message='no room')]


@ddt.ddt
class VolumesTest(base.BaseTestCase):

    def _volumes(self, *script):
        self.client = Client(*script)
        self.now = 0.0

        def sleep(seconds):
            self.now += seconds

        return volumes.Volumes(self.client, 10, lambda: self.now, sleep)

    def test_ready_reserves_and_finds_the_cluster(self):
        found = self._volumes('creating', 'available').ready('vol')
        self.assertEqual(
            volumes.Volume('vol', 1, 'FSID', 'volumes', 'hold'), found)
        self.assertIn(('create', 'vol'), self.client.done)

    def test_ready_fails_with_the_reason_for_users(self):
        error = self.assertRaises(
            volumes.CinderError, self._volumes('creating', 'error').ready,
            'vol')
        self.assertEqual('failed', error.reason)
        self.assertEqual('no room', str(error))

    def test_ready_fails_after_the_timeout(self):
        error = self.assertRaises(
            volumes.CinderError, self._volumes('creating').ready, 'vol')
        self.assertEqual('timeout', error.reason)
        self.assertIn('still creating after 10 s', str(error))

    def test_begin_fails_over_quota(self):
        error = self.assertRaises(
            volumes.CinderError, self._volumes('over').begin, 'i', 1, None,
            None)
        self.assertEqual('quota', error.reason)

    @ddt.data(('available', 'deleting', None), ('deleting', None),
              (None,), ('error', 'deleting', None))
    def test_discard(self, script):
        self._volumes(*script).discard('vol')
        self.assertIn(('delete', 'held'), self.client.done)

    def test_discard_waits_for_one_in_the_making(self):
        self._volumes('creating', 'creating', 'available', 'available',
                      'deleting', None).discard('vol')
        self.assertEqual(('force_delete', 'vol'), self.client.done[-1])

    def test_discard_snapshot_fails_if_clones_need_it(self):
        error = self.assertRaises(
            volumes.CinderError,
            self._volumes('deleting', 'available').discard_snapshot, 'snap')
        self.assertEqual('busy', error.reason)

    def test_discard_snapshot_that_is_gone(self):
        self._volumes(None).discard_snapshot('snap')

    @ddt.data(
        ({'feature_fsid': 'F', 'feature_pool': 'p'}, ('F', 'p')),
        ({'location_info': 'ceph:/etc/c:F:user:p'}, ('F', 'p')),
        ({'location_info': 'LVM:host:vg'}, None),
        ({}, None),
    )
    @ddt.unpack
    def test_place_of(self, capabilities, expected):
        self.assertEqual(expected, volumes.place_of(capabilities))


class SweepTest(base.BaseTestCase):

    def test_idle(self):
        now = datetime.datetime(2026, 1, 2, 0, 1, tzinfo=datetime.UTC)
        self.assertEqual(60, sweep.idle_s(
            ['2026-01-01T00:00:00.000000', '2026-01-02T00:00:00.000000',
             None], now))
        self.assertEqual(0, sweep.idle_s([None], now))
