# SPDX-License-Identifier: Apache-2.0
"""Work that is done again reaches Cinder's manager as it was asked."""

from types import SimpleNamespace
from unittest import mock

from cinder.volume import manager
import ddt
from oslotest import base

from cinder_tagged.resume import claims
from cinder_tagged.resume import volume_manager
from cinder_tagged.resume import work
from cinder_tagged.resume.core.operations import OPERATIONS
from cinder_tagged.volume import driver

# As Cinder's volume RPC API casts them.
MESSAGES = {
    'create_volume': {'volume': 'v', 'request_spec': {},
                      'filter_properties': None, 'allow_reschedule': True},
    'delete_volume': {'volume': 'v', 'unmanage_only': False,
                      'cascade': False},
    'create_snapshot': {'snapshot': 's'},
    'delete_snapshot': {'snapshot': 's', 'unmanage_only': False},
    'extend_volume': {'volume': 'v', 'new_size': 2, 'reservations': []},
    'copy_volume_to_image': {'volume_id': 'v', 'image_meta': {}},
}


@ddt.ddt
class RedoTest(base.BaseTestCase):

    def redo(self, method, arguments, learnt=None):
        """Do an entry again; returns what Cinder's own method got."""
        patched = self.enterContext(mock.patch.object(
            manager.VolumeManager, method, autospec=True))
        for module, name, answer in (
                (work, 'context_of', mock.Mock()),
                (work, 'arguments_of', dict(arguments)),
                (work, 'clear_leftovers', None), (work, 'reset', None),
                (claims, 'unfinished', None)):
            self.enterContext(mock.patch.object(module, name,
                                                return_value=answer))
        service = volume_manager.VolumeManager.__new__(
            volume_manager.VolumeManager)
        service.driver = None
        service._life = mock.Mock()
        entry = SimpleNamespace(
            id=7, method=method, owner='dead', attempts=0,
            message={'learnt': learnt} if learnt else {})
        service.redo(entry, SimpleNamespace(id='v'))
        service._life.journal.close.assert_called_once_with(
            7, service._life.id)
        return patched

    @ddt.data(*MESSAGES)
    def test_cinders_method_takes_the_message(self, method):
        self.redo(method, MESSAGES[method]).assert_called_once()

    def test_retype_goes_where_the_scheduler_sent_it(self):
        asked = self.redo('retype', {'volume': 'v'}, {
            'args': ['type-2', 'host-2'], 'migration_policy': 'on-demand'})
        self.assertEqual(('type-2', 'host-2'), asked.call_args.args[3:5])

    def test_every_operation_is_tried_here(self):
        self.assertEqual({*MESSAGES, 'retype'}, {*OPERATIONS})


@ddt.ddt
class PublishTest(base.BaseTestCase):
    """What one service says of a backend counts for all that share it."""

    def published(self, *, stale=False, away=None, peers=()):
        told = self.enterContext(mock.patch.object(
            manager.VolumeManager, '_publish_service_capabilities',
            autospec=True))
        service = volume_manager.VolumeManager.__new__(
            volume_manager.VolumeManager)
        service.driver = mock.Mock()
        service.driver.access.monitor.stale = stale
        service.driver.cluster_seen.return_value = (away, 0.0)
        service._life = mock.Mock()
        service._life.peers.return_value = [
            SimpleNamespace(sick_at=sick) for sick in peers]
        service._publish_service_capabilities(mock.Mock())
        return told.called

    @ddt.unpack
    @ddt.named_data(
        ('sound', {}, True),
        ('sound, with peers', {'peers': (None, 5.0)}, True),
        ('away for this one alone', {'away': 5.0, 'peers': (None,)}, False),
        ('away for all', {'away': 5.0, 'peers': (5.0,)}, True),
        ('stood still', {'stale': True, 'peers': (None,)}, False),
        ('stood still without a peer', {'stale': True}, True))
    def test_who_knows_too_little_keeps_silent(self, seen, expected):
        self.assertEqual(expected, self.published(**seen))

    def test_a_driver_that_could_not_start_is_reported_as_ever(self):
        with mock.patch.object(manager.VolumeManager,
                               '_publish_service_capabilities') as told:
            service = volume_manager.VolumeManager.__new__(
                volume_manager.VolumeManager)
            service.driver = driver.TaggedRBDDriver.__new__(
                driver.TaggedRBDDriver)
            service.driver._access = None
            service._life = mock.Mock()
            service._publish_service_capabilities(mock.Mock())
        told.assert_called_once()
