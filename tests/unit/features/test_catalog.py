# SPDX-License-Identifier: Apache-2.0
from oslotest import base

from cinder_tagged import exceptions
from cinder_tagged import features


def feature(backend, tags, fsid=None, pool='volumes', weight=1.0):
    return features.SecondLevelFeature(
        backend, features.Cluster(fsid or f'fsid-{backend}', backend, pool),
        features.parse_tags(tags), weight)


class TestCatalog(base.BaseTestCase):

    def test_first_level_features_are_many_to_many(self):
        catalog = features.Catalog([
            feature('a', 'medium:ssd, db'), feature('b', 'ssd, test'),
            feature('c', 'hdd, db')])
        first = catalog.first_level
        self.assertEqual(['db', 'hdd', 'ssd', 'test'], list(first))
        self.assertEqual(('a', 'b'), first['ssd'].backends)
        self.assertEqual('medium', first['ssd'].kind)
        self.assertEqual(('a', 'c'), first['db'].backends)

    def test_hosts_that_serve_one_stanza_are_one_backend(self):
        catalog = features.Catalog([feature('a', 'ssd'), feature('a', 'ssd')])
        self.assertEqual(('a',), catalog.first_level['ssd'].backends)
        self.assertEqual([], catalog.conflicts())

    def test_two_stanzas_on_one_pool_contradict(self):
        error = self.assertRaises(
            exceptions.FeatureConfigError, features.check_stanzas,
            [feature('a', 'ssd', fsid='f'), feature('b', 'hdd', fsid='f')])
        self.assertIn('[b] rbd_pool = volumes', str(error))
        self.assertIn('a, b are the same pool volumes', str(error))

    def test_two_pools_of_one_cluster_are_fine(self):
        features.check_stanzas([feature('a', 'ssd', fsid='f', pool='p1'),
                                feature('b', 'ssd', fsid='f', pool='p2')])

    def test_a_word_of_two_kinds_on_two_stanzas_contradicts(self):
        error = self.assertRaises(
            exceptions.FeatureConfigError, features.check_stanzas,
            [feature('a', 'medium:fast'), feature('b', 'purpose:fast')])
        self.assertIn('feature_tags = purpose:fast', str(error))
        self.assertIn('medium and purpose', str(error))

    def test_unknown_fsids_do_not_contradict(self):
        # A cluster that was down at start has no fsid yet.
        features.check_stanzas([
            features.SecondLevelFeature(n, features.Cluster('', n, 'volumes'),
                                        features.parse_tags('ssd'))
            for n in 'ab'])

    def test_travels_in_capabilities(self):
        sent = feature('a', 'medium:ssd, db', weight=3.0)
        caps = features.to_capabilities(sent)
        self.assertEqual(['medium:ssd', 'db'], caps['feature_tags'])
        self.assertEqual(sent, features.from_capabilities(caps))

    def test_untagged_backends_have_no_feature(self):
        self.assertIsNone(features.from_capabilities({'free': 1}, 'lvm'))
