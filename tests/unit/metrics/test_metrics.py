# SPDX-License-Identifier: Apache-2.0

import json
import pathlib
import re

import prometheus_client
from prometheus_client import parser

from cinder_tagged.metrics import cli
from tests.unit.cli import fakes

_ROOT = pathlib.Path(__file__).parents[3]
_NAME = re.compile(r'cinder_tagged_[a-z_]+')
# What agents and the journal serve by themselves.
_OTHERS = ('cinder_tagged_ha_', 'cinder_tagged_resume_')


class MetricsTest(fakes.CommandTestCase):

    def setUp(self):
        super().setUp()
        self.collector = cli.Collector(self.app.client_manager.volume)
        self.registry = prometheus_client.CollectorRegistry()
        self.registry.register(self.collector)

    def scrape(self):
        """Return {(name, labels as text): value}."""
        self.collector._asked = -cli._FRESH_S
        text = prometheus_client.generate_latest(self.registry).decode()
        return {(s.name.removeprefix('cinder_tagged_'),
                 ','.join(s.labels[k] for k in sorted(s.labels)
                          if k not in ('fsid', 'pool'))): s.value
                for family in parser.text_string_to_metric_families(text)
                for s in family.samples}

    def answer_cloud(self):
        self.answer(
            [fakes.pool('a', 'medium:ssd', 3.0, provisioned=100.0,
                        feature_images=['i1', 'i2']),
             fakes.pool('b', 'medium:ssd', provisioned=100.0),
             fakes.pool('c', 'medium:hdd', backend_state='down')],
            [fakes.service('a'), fakes.service('b'), fakes.service('c'),
             fakes.service('mute'), fakes.scheduler()])
        self.wire.get(f'{fakes.URL}/volumes/detail', json={'volumes': [
            {'id': 'v1', 'status': 'error', 'size': 1,
             'metadata': {'feature_explanation': 'no cluster has it'}},
            {'id': 'v2', 'status': 'error', 'size': 1, 'metadata': {}}]})

    def test_clusters_and_shares(self):
        self.answer_cloud()
        found = self.scrape()
        for name, labels, expected in (
                ('cinder_up', '', 1), ('cluster_up', 'a', 1),
                ('cluster_up', 'c', 0), ('cluster_weight', 'a', 3),
                ('cluster_provisioned_gib', 'b', 100),
                ('cluster_used_gib', 'b', 10),
                ('cluster_room_gib', 'a', 20 * 1000 - 100),
                ('cluster_image_copies', 'a', 2),
                ('tag_share', 'a,ssd', 0.5), ('tag_target', 'a,ssd', 0.75),
                ('tag_backends_up', 'ssd', 2), ('tag_backends_up', 'hdd', 0),
                ('backend_silent', 'node1@mute', 1),
                ('refused_volumes', '', 1), ('schedulers', '', 1)):
            self.assertEqual(expected, found[name, labels], name)
        # What a cluster that is down holds, nobody knows.
        self.assertNotIn(('cluster_used_gib', 'c'), found)

    def test_cinder_that_is_away(self):
        self.answer_cloud()
        self.wire.get(f'{fakes.URL}/os-services', status_code=503, json={})
        self.assertEqual({('cinder_up', ''): 0}, self.scrape())

    def test_dashboard_shows_figures_that_there_are(self):
        self.answer_cloud()
        known = {f'cinder_tagged_{name}' for name, _ in self.scrape()}
        board = json.loads(
            (_ROOT / 'etc/grafana/cinder-tagged.json').read_text())
        asked = {name for panel in board['panels']
                 for target in panel.get('targets', ())
                 for name in _NAME.findall(target['expr'])}
        self.assertGreater(len(asked), 12)
        sources = ''.join(
            path.read_text() for path in (
                _ROOT / 'cinder_tagged/ha/control.py',
                _ROOT / 'cinder_tagged/resume/cli.py'))
        for name in asked - known:
            self.assertTrue(name.startswith(_OTHERS), name)
            short = name.removeprefix('cinder_tagged_ha_').removeprefix(
                'cinder_tagged_resume_').removesuffix('_total')
            self.assertIn(f'{short}', sources, name)
