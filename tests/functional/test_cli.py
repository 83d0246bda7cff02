# SPDX-License-Identifier: Apache-2.0
"""The commands, run by the real client on real services and clusters."""

import json
import subprocess
from xml.etree import ElementTree

import requests

from devstack.sandbox.process import free_port
from tests.functional import base

DEADLINE_S = 120
FEATURE = ('volume', 'feature')


class CommandTestCase(base.SandboxTestCase):

    def openstack(self, *words, cloud='sandbox'):
        return subprocess.run(
            [self.sandbox.layout.program('openstack'), *words], text=True,
            env=self.sandbox.environment(cloud), capture_output=True,
            timeout=DEADLINE_S, check=False)

    def rows(self, key, *words, status=0, cloud='sandbox'):
        """Run a command.

        :returns: its rows by one of their columns, backends by the name of
            their stanza; standard error
        """
        done = self.openstack(*FEATURE, *words, '-f', 'json', cloud=cloud)
        self.assertEqual(status, done.returncode, done.stderr)
        found = {row[key]: row for row in json.loads(done.stdout)}
        if key == 'Backend':
            found = {name.rpartition('#')[2]: row
                     for name, row in found.items()}
        return found, done.stderr

    def wait_for_types(self, *names):
        self.wait_until(
            lambda: set(names) <= {t.name for t in self.cinder.types()},
            f'volume types {names} made')


class TestTags(CommandTestCase):

    def test_list_and_show(self):
        self.wait_for_types('ssd', 'hdd', 'public', 'private', 'db', 'test',
                            'prod')
        rows, _ = self.rows('Tag', 'list')
        self.assertEqual(
            ('medium', 'ssd', 'served', 'ssd', 2, 2),
            tuple(rows['ssd'][k] for k in (
                'Kind', 'Volume Type', 'State', 'Asks', 'Backends Up',
                'Backends')))
        self.assertGreater(rows['ssd']['Capacity GiB'],
                           rows['db']['Capacity GiB'])
        rows, _ = self.rows('Backend', 'show', 'ssd')
        self.assertEqual({'ceph-ssd-a', 'ceph-ssd-b'}, set(rows))
        for name, target in (('ceph-ssd-a', 0.75), ('ceph-ssd-b', 0.25)):
            self.assertEqual(
                (self.clusters[name].fsid, 'volumes', 'up', target),
                tuple(rows[name][k]
                      for k in ('FSID', 'Pool', 'State', 'Target')))
            self.assertGreater(rows[name]['Room GiB'], 0)

    def enable(self, service):
        # Cinder 29 answers "enabled" to the request and changes nothing.
        self.sandbox.database.execute(
            'UPDATE services SET disabled = 0, disabled_reason = NULL'
            ' WHERE host = %s', service.host, database='cinder')
        self.wait_until(
            lambda: service.host in {p.name.partition('#')[0]
                                     for p in self.cinder.backend_pools()
                                     if p.capabilities['backend_state']
                                     == 'up'}, 'the backend to be back')

    def test_disabled_service_stays_in_sight(self):
        service = next(s for s in self.cinder.services()
                       if s.host.endswith('@ceph-hdd'))
        self.addCleanup(self.enable, service)
        self.cinder.disable_service(service, reason='new disks')

        def noticed():
            return [p for p in self.cinder.backend_pools()
                    if p.name.partition('#')[0] == service.host
                    and p.capabilities.get('backend_state') != 'down'] == []

        self.wait_until(noticed, 'the scheduler to notice')
        rows, said = self.rows('Backend', 'explain', '--require', 'ssd | hdd')
        self.assertEqual((None, 'its service is disabled: new disks'),
                         (rows['ceph-hdd']['Rank'],
                          rows['ceph-hdd']['Reason']))
        self.assertIn('@ceph-ssd-', said)

    def test_types_of_others_and_sync(self):
        self.wait_for_types('test')
        self.cinder.delete_type(self.cinder.find_type('test'))
        foreign = self.cinder.create_type(
            name='test', extra_specs={'feature:require': 'hdd'})
        rows, _ = self.rows('Tag', 'list')
        self.assertEqual(('foreign', 'hdd'),
                         (rows['test']['State'], rows['test']['Asks']))
        rows, said = self.rows('Volume Type', 'sync')
        self.assertEqual({}, rows)
        self.assertIn("'test' was made by somebody else and asks for 'hdd'",
                      said)
        self.cinder.delete_type(foreign)
        rows, _ = self.rows('Volume Type', 'sync')
        self.assertEqual('made', rows['test']['Result'])
        self.assertEqual(
            'cinder-tagged', self.cinder.find_type('test').extra_specs[
                'feature:managed_by'])


class TestOwnFiles(CommandTestCase):
    """What an operator looks at first on a cloud that runs."""

    def test_check_finds_nothing_wrong(self):
        conf = self.sandbox.layout.state / 'cinder' / 'cinder.conf'
        done = subprocess.run(
            [self.sandbox.layout.program('cinder-tagged'), 'check',
             '--cinder-conf', conf, '--connect', '--format', 'json',
             '--fail-on', 'info'], text=True, capture_output=True,
            env=self.sandbox.environment(), timeout=DEADLINE_S, check=False)
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)
        self.assertEqual([], json.loads(done.stdout)['findings'])

    def test_picture(self):
        self.wait_for_types('ssd', 'hdd')
        done = self.openstack(*FEATURE, 'graph')
        self.assertEqual(0, done.returncode, done.stderr)
        drawn = {group.get('data-cluster') for group
                 in ElementTree.fromstring(done.stdout).iter()}
        self.assertEqual(set(self.clusters), drawn - {None})


class TestMetrics(CommandTestCase):

    def text(self, *words):
        done = subprocess.run(
            [self.sandbox.layout.program('cinder-tagged'), 'metrics', *words],
            text=True, env=self.sandbox.environment(), capture_output=True,
            timeout=DEADLINE_S, check=False)
        self.assertEqual(0, done.returncode, done.stderr)
        return done.stdout

    def test_printed(self):
        text = self.text()
        for cluster, weight in (('ceph-ssd-a', 3), ('ceph-ssd-b', 1)):
            labels = (f'{{cluster="{cluster}",'
                      f'fsid="{self.clusters[cluster].fsid}",'
                      'pool="volumes"}')
            self.assertIn(f'cinder_tagged_cluster_up{labels} 1.0', text)
            self.assertIn(f'cinder_tagged_cluster_weight{labels} '
                          f'{weight}.0', text)
        self.assertIn('cinder_tagged_tag_target{cluster="ceph-ssd-a",'
                      'tag="ssd"} 0.75', text)

    def test_served(self):
        port = free_port()
        with subprocess.Popen(
                [self.sandbox.layout.program('cinder-tagged'), 'metrics',
                 '--listen', f'127.0.0.1:{port}'],
                env=self.sandbox.environment()) as server:
            try:
                self.wait_until(lambda: self.scrape(port), 'metrics served')
                server.terminate()
                self.assertEqual(0, server.wait(DEADLINE_S))
            finally:
                server.kill()

    def scrape(self, port):
        try:
            found = requests.get(f'http://127.0.0.1:{port}/metrics',
                                 timeout=DEADLINE_S).text
        except requests.ConnectionError:
            return False
        self.assertIn('cinder_tagged_cinder_up 1.0', found)
        return True


class TestExplain(CommandTestCase):

    def test_dry_run_agrees_with_the_scheduler(self):
        self.wait_for_types('ssd')
        rows, said = self.rows('Backend', 'explain', '--type', 'ssd',
                               '--hint', 'feature=!db')
        self.assertEqual(
            (1, 'has db', 'lacks ssd'),
            (rows['ceph-ssd-b']['Rank'], rows['ceph-ssd-a']['Reason'],
             rows['ceph-hdd']['Reason']))
        self.assertIn('can be served: sandbox@ceph-ssd-b#', said)
        volume = self.create_volume(volume_type='ssd',
                                    scheduler_hints={'feature': '!db'})
        self.assertEqual('ceph-ssd-b', self.backend_of(volume.id))

    def test_other_extra_specs(self):
        found = self.cinder.create_type(
            name='ssd-by-name', extra_specs={
                'feature:require': 'ssd',
                'volume_backend_name': 'ceph-ssd-a'})
        self.addCleanup(self.cinder.delete_type, found)
        rows, _ = self.rows('Backend', 'explain', '--type', 'ssd-by-name')
        self.assertEqual(
            (1, "the type's other extra specs refuse it: "
             'volume_backend_name=ceph-ssd-a', 'lacks ssd'),
            (rows['ceph-ssd-a']['Rank'], rows['ceph-ssd-b']['Reason'],
             rows['ceph-hdd']['Reason']))

    def test_failed_volume(self):
        self.wait_for_types('ssd')
        volume = self.create_volume(
            volume_type='ssd', scheduler_hints={'feature': 'prod'},
            wait='error')
        rows, said = self.rows('Backend', 'explain', '--volume', volume.id,
                               status=3)
        self.assertEqual(
            {'ceph-ssd-a': 'lacks prod', 'ceph-ssd-b': 'lacks prod',
             'ceph-hdd': 'lacks ssd'},
            {name: row['Reason'] for name, row in rows.items()})
        self.assertIn('features ssd & prod', said)
        self.assertIn('Then:   ', said)

    def test_user_without_rights(self):
        self.wait_for_types('ssd')
        cinder = self.sandbox.connect('demo').block_storage
        volume = cinder.create_volume(size=1, volume_type='ssd',
                                      scheduler_hints={'feature': 'prod'})
        self.addCleanup(self.delete_volume, volume.id)
        self.wait_until(
            lambda: cinder.get_volume(volume.id).status == 'error',
            'the volume to fail')
        rows, _ = self.rows('Volume', 'explain', '--volume', volume.id,
                            status=3, cloud='sandbox-demo')
        self.assertIn('ssd & prod', rows[volume.id]['Asked'])
        self.assertNotIn('ceph-', rows[volume.id]['Explanation'])
        rows, _ = self.rows('Volume Type', 'list', cloud='sandbox-demo')
        self.assertIn('Storage with the feature "ssd"',
                      rows['ssd']['Description'])
        done = self.openstack(*FEATURE, 'show', 'ssd', cloud='sandbox-demo')
        self.assertEqual(1, done.returncode)
        self.assertEqual(1, len(done.stderr.splitlines()), done.stderr)
        self.assertIn('needs administrator rights', done.stderr)
