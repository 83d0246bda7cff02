# SPDX-License-Identifier: Apache-2.0
import json

import ddt
import fixtures
from osc_lib import exceptions

from cinder_tagged.cli import feature_explain
from cinder_tagged.cli import feature_list
from cinder_tagged.cli import feature_show
from cinder_tagged.cli import feature_sync
from tests.unit.cli import fakes

THREE = (
    fakes.pool('ceph-ssd-a', 'medium:ssd,public,db', 3.0, provisioned=300.0),
    fakes.pool('ceph-ssd-b', 'medium:ssd,public', 1.0, provisioned=100.0),
    fakes.pool('ceph-hdd', 'medium:hdd,public', 1.0, total=4000.0),
)
SERVICES = (fakes.service('ceph-ssd-a'), fakes.service('ceph-ssd-b'),
            fakes.service('ceph-hdd'), fakes.scheduler())
TYPES = (fakes.volume_type('__DEFAULT__'),
         fakes.volume_type('ssd', 'ssd', managed=True))


def by_key(text, key):
    return {row[key]: row for row in json.loads(text)}


class TestList(fakes.CommandTestCase):

    def rows(self):
        status, out = self.call(feature_list.ListFeature, '-f', 'json')
        self.assertEqual(0, status)
        return by_key(out, 'Tag')

    def test_amounts_and_states(self):
        self.answer(THREE, SERVICES, [
            *TYPES, fakes.volume_type('db', 'hdd'),
            fakes.volume_type('hdd', 'medium:hdd'),
            fakes.volume_type('nvme', 'nvme', managed=True)])
        rows = self.rows()
        self.assertEqual({
            'Tag': 'ssd', 'Kind': 'medium', 'Volume Type': 'ssd',
            'State': 'served', 'Asks': 'ssd', 'Backends Up': 2,
            'Backends': 2, 'Capacity GiB': 2000.0, 'Used GiB': 40.0,
            'Provisioned GiB': 400.0}, rows['ssd'])
        self.assertEqual(['db', 'hdd', 'nvme', 'public', 'ssd'], list(rows))
        self.assertEqual(
            ['foreign', 'foreign', 'unserved', 'missing', 'served'],
            [row['State'] for row in rows.values()])
        self.assertEqual(['hdd', 'medium:hdd', 'nvme', None, 'ssd'],
                         [row['Asks'] for row in rows.values()])
        self.assertIsNone(rows['public']['Volume Type'])

    def test_a_cluster_served_by_two_hosts_counts_once(self):
        self.answer([fakes.pool('a', host='h1', provisioned=60.0),
                     fakes.pool('a', host='h2', provisioned=60.0)],
                    [fakes.service('a', 'h1'), fakes.service('a', 'h2')])
        row = self.rows()['ssd']
        self.assertEqual((2, 1000.0), (row['Backends'], row['Capacity GiB']))

    def test_down_cluster_still_counts(self):
        self.answer([fakes.pool('a', backend_state='down'),
                     fakes.pool('b', 'hdd')],
                    [fakes.service('a'), fakes.service('b')], TYPES)
        row = self.rows()['ssd']
        self.assertEqual(('down', 0, 1),
                         (row['State'], row['Backends Up'], row['Backends']))

    def test_down_service_is_named(self):
        log = self.useFixture(fixtures.FakeLogger())
        self.answer(THREE[:1], [fakes.service('ceph-ssd-a'),
                                fakes.service('ceph-hdd', state='down')])
        self.rows()
        self.assertIn('node1@ceph-hdd: its cinder-volume service is down, '
                      'not heard of since 2026-11-22T21:50:33 UTC; its tags '
                      'are unknown until it reports', log.output)

    def test_down_service_is_known_by_another_host_of_its_stanza(self):
        self.answer([fakes.pool('a', host='h1')],
                    [fakes.service('a', 'h1'),
                     fakes.service('a', 'h2', state='down')])
        row = self.rows()['ssd']
        self.assertEqual((1, 2), (row['Backends Up'], row['Backends']))

    def test_contradictions_are_named(self):
        log = self.useFixture(fixtures.FakeLogger())
        self.answer([fakes.pool('a', 'medium:fast'),
                     fakes.pool('b', 'purpose:fast')])
        self.rows()
        self.assertIn("the tag 'fast' stands under the kinds medium and "
                      'purpose', log.output)

    def test_user_sees_the_types_made_for_tags(self):
        self.answer(volume_types=[
            fakes.volume_type('gold', description='Fast'),
            fakes.volume_type('ssd', managed=True)])
        self.forbid()
        status, out = self.call(feature_list.ListFeature, '-f', 'json')
        self.assertEqual(0, status)
        self.assertEqual(
            [{'Volume Type': 'ssd',
              'Description': 'Storage with the feature "ssd"'}],
            json.loads(out))

    def test_formats(self):
        self.answer(THREE, SERVICES, TYPES)
        _, table = self.call(feature_list.ListFeature)
        self.assertIn('| ssd    | medium | ssd         | served  | ssd  |',
                      table)
        _, csv = self.call(feature_list.ListFeature, '-f', 'csv')
        self.assertIn('"ssd","medium","ssd","served","ssd",2,2,2000.0,40.0,'
                      '400.0', csv)
        _, yaml = self.call(feature_list.ListFeature, '-f', 'yaml')
        self.assertIn('- Asks: ssd', yaml)
        _, value = self.call(feature_list.ListFeature, '-f', 'value',
                             '-c', 'Tag', '-c', 'Backends')
        self.assertIn('public 3\nssd 2\n', value)


class TestShow(fakes.CommandTestCase):

    def test_shares_and_targets(self):
        self.answer(THREE, SERVICES)
        _, out = self.call(feature_show.ShowFeature, 'ssd', '-f', 'json')
        rows = by_key(out, 'Cluster')
        self.assertEqual(['ceph-ssd-a', 'ceph-ssd-b'], sorted(rows))
        found = rows['ceph-ssd-a']
        self.assertEqual(
            ('node1@ceph-ssd-a#volumes', 'fsid-ceph-ssd-a', 'volumes', 'up',
             3.0, 0.75, 0.75, 300.0, 19700.0),
            tuple(found[k] for k in (
                'Backend', 'FSID', 'Pool', 'State', 'Weight', 'Share',
                'Target', 'Provisioned GiB', 'Room GiB')))

    def test_table_reads_as_per_cent(self):
        self.answer(THREE, SERVICES)
        _, out = self.call(feature_show.ShowFeature, 'medium:ssd')
        self.assertIn('75.0%', out)

    def test_down_clusters_stay_in_sight(self):
        self.answer([THREE[0], fakes.pool('ceph-ssd-b')],
                    [fakes.service('ceph-ssd-a'),
                     fakes.service('ceph-ssd-b', status='disabled',
                                   disabled_reason='new disks')])
        _, out = self.call(feature_show.ShowFeature, 'ssd', '-f', 'json')
        row = by_key(out, 'Cluster')['ceph-ssd-b']
        self.assertEqual(('down', None, 'its service is disabled: new disks'),
                         (row['State'], row['Share'], row['Note']))

    def test_unknown_tag_fails_with_the_known_ones(self):
        self.answer(THREE, SERVICES)
        error = self.assertRaises(exceptions.CommandError, self.call,
                                  feature_show.ShowFeature, 'nvme')
        self.assertIn('nvme: no backend reports it; the tags in use are: db, '
                      'hdd, public, ssd', str(error))

    def test_unreadable_tag_fails(self):
        error = self.assertRaises(exceptions.CommandError, self.call,
                                  feature_show.ShowFeature, 'ssd &')
        self.assertIn('a tag was expected at character 6', str(error))

    def test_user_is_told_what_it_needs(self):
        self.forbid()
        error = self.assertRaises(exceptions.CommandError, self.call,
                                  feature_show.ShowFeature, 'ssd')
        self.assertIn('needs administrator rights (policy rule '
                      'scheduler_extension:scheduler_stats:get_pools)',
                      str(error))


class TestSync(fakes.CommandTestCase):

    def made(self):
        return [json.loads(sent.text)['volume_type']
                for sent in self.wire.request_history
                if sent.method == 'POST']

    def test_makes_what_is_missing_and_only_that(self):
        self.answer(THREE, SERVICES, [*TYPES, fakes.volume_type('db')])
        self.wire.post(f'{fakes.URL}/types', json={
            'volume_type': fakes.volume_type('hdd', 'hdd', managed=True)})
        log = self.useFixture(fixtures.FakeLogger())
        status, out = self.call(feature_sync.SyncFeature, '-f', 'json')
        self.assertEqual(0, status)
        self.assertEqual({'hdd', 'public'},
                         set(by_key(out, 'Volume Type')))
        self.assertEqual([{
            'name': 'hdd',
            'description': 'Storage with the feature "hdd" (medium)',
            'extra_specs': {'feature:require': 'hdd',
                            'feature:managed_by': 'cinder-tagged'},
            'os-volume-type-access:is_public': True}], self.made()[:1])
        self.assertIn("volume type 'db' was made by somebody else",
                      log.output)

    def test_dry_run_makes_nothing(self):
        self.answer(THREE, SERVICES, TYPES)
        _, out = self.call(feature_sync.SyncFeature, '--dry-run',
                           '-f', 'value')
        self.assertIn('would be made', out)
        self.assertEqual([], self.made())

    def test_a_faster_scheduler_is_fine(self):
        self.answer(THREE[2:], SERVICES, TYPES)
        self.wire.post(f'{fakes.URL}/types', status_code=409, json={
            'conflictingRequest': {'code': 409, 'message': 'exists'}})
        status, out = self.call(feature_sync.SyncFeature, '-f', 'value')
        self.assertEqual(0, status)
        self.assertIn('made by somebody else just now', out)


@ddt.ddt
class TestExplain(fakes.CommandTestCase):

    def explain(self, *words):
        status, out = self.call(feature_explain.ExplainFeature, *words,
                                '-f', 'json')
        return status, by_key(out, 'Cluster')

    def test_placeable(self):
        self.answer(THREE, SERVICES, TYPES)
        status, rows = self.explain('--type', 'ssd', '--size', '50')
        self.assertEqual(0, status)
        self.assertEqual((1, True, 0.75, None), tuple(
            rows['ceph-ssd-a'][k]
            for k in ('Rank', 'Matched', 'Target', 'Limit')))
        self.assertEqual((None, False, 'lacks ssd'), tuple(
            rows['ceph-hdd'][k] for k in ('Rank', 'Matched', 'Reason')))
        self.assertEqual(
            'Asked:  50 GiB, type ssd, features ssd; policy proportional, '
            '1 scheduler(s)\n'
            "Now:    the features 'ssd' can be served: "
            'node1@ceph-ssd-a#volumes comes first\n',
            self.stderr.getvalue())

    def test_not_placeable_tells_by_exit_status(self):
        self.answer(THREE, SERVICES, TYPES)
        status, rows = self.explain('--require', 'hdd & db')
        self.assertEqual(3, status)
        self.assertEqual(
            ['lacks hdd', 'lacks hdd; lacks db', 'lacks db'],
            [rows[name]['Reason']
             for name in ('ceph-ssd-a', 'ceph-ssd-b', 'ceph-hdd')])

    def test_limit_is_named(self):
        self.answer(THREE, SERVICES, TYPES)
        status, rows = self.explain('--type', 'ssd', '--size', '30000')
        self.assertEqual(3, status)
        self.assertEqual(
            ('oversubscription', '30000 GiB asked, 19700 GiB left by its '
             'oversubscription limit'),
            (rows['ceph-ssd-a']['Limit'], rows['ceph-ssd-a']['Reason']))

    def test_hint_adds_to_the_type(self):
        self.answer(THREE, SERVICES, TYPES)
        _, rows = self.explain('--type', 'ssd', '--hint', 'feature=!db')
        self.assertEqual('has db', rows['ceph-ssd-a']['Reason'])
        self.assertEqual(1, rows['ceph-ssd-b']['Rank'])

    @ddt.data(('strict', 'ceph-ssd-a'), ('capacity', 'ceph-ssd-b'))
    @ddt.unpack
    def test_policy(self, policy, first):
        self.answer(THREE, SERVICES, TYPES)
        _, rows = self.explain('--require', 'ssd', '--policy', policy)
        self.assertEqual(1, rows[first]['Rank'])

    def test_schedulers_are_counted(self):
        self.answer(THREE, [*SERVICES, fakes.scheduler('node2')])
        self.explain('--require', 'ssd')
        self.assertIn('2 scheduler(s)', self.stderr.getvalue())

    def test_silent_backend_is_listed_as_unknown(self):
        self.answer(THREE[:1], [*SERVICES[:1],
                                fakes.service('lvm', state='down')])
        _, out = self.call(feature_explain.ExplainFeature, '--require', 'ssd',
                           '-f', 'json')
        row = by_key(out, 'Backend')['node1@lvm']
        self.assertIsNone(row['Matched'])
        self.assertIn('its tags are unknown', row['Reason'])

    def test_type_without_features_is_the_default(self):
        self.answer([*THREE, fakes.pool('lvm', None)], SERVICES, TYPES)
        self.wire.get(f'{fakes.URL}/types/default', json={
            'volume_type': TYPES[0]})
        status, _ = self.explain()
        self.assertEqual(0, status)
        self.assertIn('Asked:  1 GiB, type __DEFAULT__, no feature;',
                      self.stderr.getvalue())

    def test_other_extra_specs_are_judged_by_cinder(self):
        self.answer(THREE, SERVICES, [fakes.volume_type(
            'ssd-b', 'ssd', volume_backend_name='ceph-ssd-b')])
        self.wire.get(f'{fakes.URL}/scheduler-stats/get_pools?volume_type='
                      'id-ssd-b', json={'pools': [THREE[1]]})
        status, rows = self.explain('--type', 'ssd-b')
        self.assertEqual(0, status)
        self.assertEqual(
            "the type's other extra specs refuse it: volume_backend_name="
            'ceph-ssd-b', rows['ceph-ssd-a']['Reason'])
        self.assertEqual('lacks ssd', rows['ceph-hdd']['Reason'])
        self.assertEqual(1, rows['ceph-ssd-b']['Rank'])

    def test_down_cluster_is_a_reason_and_its_room_is_not(self):
        self.answer([fakes.pool('a', backend_state='down',
                                free_capacity_gb=0)], SERVICES)
        status, rows = self.explain('--require', 'ssd', '--long')
        self.assertEqual(3, status)
        self.assertEqual(
            ('the backend reports its cluster as down', None, None, 'fsid-a',
             ['medium:ssd', 'public']),
            tuple(rows['a'][k]
                  for k in ('Reason', 'Limit', 'Room GiB', 'FSID', 'Tags')))

    def test_withdrawn_backend_says_why(self):
        self.answer([fakes.pool(
            'a', backend_state='down',
            feature_down_reason='its volume service sends no heartbeat')])
        _, rows = self.explain('--require', 'ssd')
        self.assertEqual('its volume service sends no heartbeat',
                         rows['a']['Reason'])

    def test_unusable_report_is_a_reason(self):
        self.answer([fakes.pool('a', feature_weight=-1.0)], SERVICES)
        _, out = self.call(feature_explain.ExplainFeature, '--require', 'ssd',
                           '-f', 'json')
        self.assertIn('[a] feature_weight = -1.0: a weight factor is',
                      by_key(out, 'Backend')['node1@a#volumes']['Reason'])

    def test_failed_volume_is_asked_again_with_its_hint(self):
        self.answer(THREE, SERVICES, TYPES)
        volume = self.answer_volume(
            status='error', volume_type='ssd', size=10, metadata={
                'feature_request': 'ssd & nvme',
                'feature_explanation': "no cluster has the features 'ssd & "
                "nvme'; no cluster carries the tag nvme"})
        status, rows = self.explain('--volume', volume)
        self.assertEqual(3, status)
        self.assertEqual('lacks nvme', rows['ceph-ssd-a']['Reason'])
        said = self.stderr.getvalue()
        self.assertIn('Asked:  10 GiB, type ssd, features ssd & nvme;', said)
        self.assertIn('Volume: 6f9a2d1c is error\n', said)
        self.assertIn("Then:   no cluster has the features 'ssd & nvme'; no "
                      'cluster carries the tag nvme\n', said)
        self.assertIn("Now:    no cluster has the features 'ssd & nvme'",
                      said)

    def test_placed_volume(self):
        self.answer(THREE, SERVICES, TYPES)
        volume = self.answer_volume(volume_type='ssd', **{
            'os-vol-host-attr:host': 'node1@ceph-ssd-b#volumes'})
        status, _ = self.explain('--volume', volume)
        self.assertEqual(0, status)
        self.assertIn('is available, on node1@ceph-ssd-b#volumes',
                      self.stderr.getvalue())

    def test_user_reads_what_is_stored_with_the_volume(self):
        self.forbid()
        volume = self.answer_volume(status='error', metadata={
            'feature_request': 'nvme',
            'feature_explanation': 'no cluster has it'})
        status, out = self.call(feature_explain.ExplainFeature,
                                '--volume', volume, '-f', 'json')
        self.assertEqual(3, status)
        self.assertEqual([{'Volume': '6f9a2d1c', 'Asked': 'nvme',
                           'Explanation': 'no cluster has it'}],
                         json.loads(out))

    def test_user_without_stored_explanation(self):
        self.forbid()
        volume = self.answer_volume()
        error = self.assertRaises(
            exceptions.CommandError, self.call,
            feature_explain.ExplainFeature, '--volume', volume)
        self.assertIn('no explanation is stored with it (it is available)',
                      str(error))

    @ddt.data(
        (['--require', 'ssd &&'], '--require: cannot read the feature '),
        (['--type', 'gold'], '--type gold: no such volume type'),
        (['--volume', 'gone'], '--volume gone: no such volume'))
    @ddt.unpack
    def test_errors_name_the_option(self, words, expected):
        self.answer(THREE, SERVICES)
        self.wire.get(f'{fakes.URL}/types/gold', status_code=404, json={})
        self.wire.get(f'{fakes.URL}/volumes/gone', status_code=404, json={})
        self.wire.get(f'{fakes.URL}/volumes/detail', json={'volumes': []})
        error = self.assertRaises(exceptions.CommandError, self.explain,
                                  *words)
        self.assertTrue(str(error).startswith(expected), str(error))

    @ddt.data(['--size', '0'], ['--size', '1.5'], ['--hint', 'same_host=x'],
              ['--type', 'a', '--require', 'b'], ['--policy', 'fair'])
    def test_options_that_cannot_be(self, words):
        with fixtures.StringStream('stderr') as stream, \
                fixtures.MonkeyPatch('sys.stderr', stream.stream):
            self.assertRaises(SystemExit, self.explain, *words)
