# SPDX-License-Identifier: Apache-2.0
"""The worked example: read as services read it, and asked where things go."""

from collections import Counter
import dataclasses
import pathlib

from cinder.volume import configuration
from cinder.volume.drivers import rbd
from oslo_config import cfg
from oslotest import base
import yaml

from cinder_tagged import features
from cinder_tagged import placement
from cinder_tagged.check import model
from cinder_tagged.check import rules
from cinder_tagged.check.adapters import conf_files
from cinder_tagged.volume import options
from cinder_tagged.volume import stanza

EXAMPLE = pathlib.Path(__file__).parents[3] / 'etc/examples/three-sites'
SITES = ('north', 'south', 'west')
PROPORTIONAL = placement.get_policy('proportional')


def files(site):
    return [str(EXAMPLE / 'common.conf'), str(EXAMPLE / f'{site}.conf')]


class ThreeSitesTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.addCleanup(cfg.CONF.reset)
        self.features = [f for site in SITES for f in self.read(site)]

    def read(self, site):
        """Read a site's file with the driver's own reader."""
        cfg.CONF([], project='cinder', default_config_files=files(site),
                 default_config_dirs=[])
        for name in model.stanzas(conf_files.read(files(site))):
            yield stanza.read(configuration.Configuration(
                [*rbd.RBD_OPTS, *options.TAGGED_OPTS],
                config_group=name.name), f'fsid of {name.name}')

    def pools(self, question):
        held = question.get('holding', {})
        for feature in self.features:
            load = float(held.get(feature.backend, 0))
            yield placement.Pool(
                feature.backend, feature,
                up=feature.backend not in question.get('down', ()),
                total_gb=100.0, free_gb=90.0, allocated_gb=load,
                max_over_subscription_ratio=20.0, thin=True)

    def test_nine_clusters_without_contradiction(self):
        self.assertEqual(9, len(self.features))
        self.assertEqual([], features.Catalog(self.features).conflicts())

    def test_questions(self):
        questions = yaml.safe_load((EXAMPLE / 'questions.yaml').read_text())
        self.assertGreater(len(questions), 10)
        for question in questions:
            decision = placement.decide(
                placement.Request(
                    1, features.parse_expression(question['ask'])),
                list(self.pools(question)), PROPORTIONAL)
            self.assertEqual(
                question['goes'],
                [v.backend for v in decision.verdicts if v.accepted],
                question)

    def test_shares(self):
        # 700 volumes of 1 GiB for whoever is not picky about the site.
        pools = {pool.backend: pool for pool in self.pools({})}
        wanted = features.parse_expression('ssd & prod')
        for _ in range(700):
            chosen = placement.decide(placement.Request(1, wanted),
                                      list(pools.values()),
                                      PROPORTIONAL).chosen
            pools[chosen.backend] = dataclasses.replace(
                pools[chosen.backend],
                allocated_gb=pools[chosen.backend].allocated_gb + 1)
        self.assertEqual(
            {'north-ssd': 300, 'south-ssd-a': 300, 'south-ssd-b': 100},
            dict(+Counter({name: int(pool.allocated_gb)
                           for name, pool in pools.items()})))

    def test_check_finds_nothing(self):
        confs = {site: conf_files.read(files(site)) for site in SITES}
        found = rules.findings(model.Site(
            cinder=confs['north'],
            hosts=tuple(model.Host(site, confs[site], {})
                        for site in SITES[1:])))
        self.assertEqual([], found)
