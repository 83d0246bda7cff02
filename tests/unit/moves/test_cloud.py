# SPDX-License-Identifier: Apache-2.0
"""Cinder's REST API through openstacksdk; only the wire is replaced."""

import ddt

from cinder_tagged.moves import cloud as cloud_mod
from tests.unit.cli import fakes

URL = fakes.URL


@ddt.ddt
class CloudTest(fakes.CommandTestCase):

    def setUp(self):
        super().setUp()
        self.cloud = cloud_mod.Cloud(self.app.client_manager.volume)

    def volume(self, number, **values):
        return {'id': f'v{number}', 'name': None, 'size': 3,
                'status': 'available', 'volume_type': 'ssd', 'metadata': {},
                'attachments': [], 'migration_status': None,
                'os-vol-host-attr:host': 'n1@a#volumes'} | values

    def answer_list(self, *volumes, snapshots=()):
        """Answer in pages of one, as a Cinder with a low limit would."""
        for kind, found in (('volumes', volumes), ('snapshots', snapshots)):
            def page(request, _context, kind=kind, found=found):
                self.assertEqual(['1'], request.qs['all_tenants'])
                ids = [item['id'] for item in found]
                after = request.qs.get('marker', [''])[0]
                place = ids.index(after) + 1 if after else 0
                return {kind: list(found[place:place + 1])}

            self.wire.get(f'{URL}/{kind}/detail', json=page)

    def test_volumes_of_all_pages_with_what_their_types_ask(self):
        pools = [fakes.pool('a'), fakes.pool('b')]
        self.answer(pools, [], [
            fakes.volume_type('ssd', 'ssd', managed=True),
            fakes.volume_type('named', None, volume_backend_name='a')])
        self.wire.get(
            f'{URL}/scheduler-stats/get_pools?volume_type=id-named',
            json={'pools': pools[:1]})
        self.answer_list(
            self.volume(1), self.volume(2, volume_type='named',
                                        cluster_name='c@a#volumes'),
            self.volume(3, volume_type=None),
            snapshots=[{'id': 's1', 'volume_id': 'v3'}])
        one, two, three = self.cloud.volumes(
            self.cloud.storage(), '!db')
        self.assertEqual('ssd & !db', str(one.wish.require))
        self.assertEqual(
            ('c@a#volumes', frozenset({'node1@b#volumes'}), '!db',
             'volume_backend_name=a'),
            (two.backend, two.wish.refused, str(two.wish.require),
             two.wish.others))
        self.assertEqual('!db', str(three.wish.require))
        self.assertEqual(['', ''], [one.obstacle, two.obstacle])
        self.assertIn('1 snapshot', three.obstacle)

    @ddt.data((False, 'host'), (True, 'cluster'))
    @ddt.unpack
    def test_move(self, clustered, key):
        asked = self.wire.post(f'{URL}/volumes/v1/action', status_code=202)
        self.cloud.move('v1', 'n1@b#volumes', clustered)
        self.assertEqual(
            {'os-migrate_volume': {key: 'n1@b#volumes',
                                   'lock_volume': True}},
            asked.last_request.json())
        self.assertEqual('volume 3.16', asked.last_request.headers[
            'OpenStack-API-Version'])

    @ddt.data((400, cloud_mod.Refused), (404, cloud_mod.Refused),
              (503, cloud_mod.Unreachable))
    @ddt.unpack
    def test_move_that_does_not_come_through(self, status, expected):
        self.wire.post(f'{URL}/volumes/v1/action', status_code=status, json={
            'badRequest': {'message': 'busy', 'code': status}})
        self.assertRaises(expected, self.cloud.move, 'v1', 'x', False)

    def test_volume_that_is_gone_and_a_cinder_that_is(self):
        self.wire.get(f'{URL}/volumes/v1', status_code=404, json={})
        self.assertIsNone(self.cloud.volume('v1'))
        self.wire.get(f'{URL}/volumes/v1', status_code=502, json={})
        self.assertRaises(cloud_mod.Unreachable, self.cloud.volume, 'v1')
