# SPDX-License-Identifier: Apache-2.0
"""Clusters that hold the image go first, within bounds."""

import ddt
from oslotest import base

from cinder_tagged import features
from cinder_tagged import placement


def pool(name, held=0.0, weight=1.0, tags='ssd', **values):
    return placement.Pool(
        f'host@{name}#vols', features.SecondLevelFeature(
            name, features.Cluster(f'fsid-{name}', name, 'vols'),
            features.parse_tags(tags), weight),
        total_gb=values.pop('total_gb', 1000.0), free_gb=1000.0, thin=True,
        max_over_subscription_ratio=1.0, allocated_gb=held, **values)


def ask(holders=(), preference=0.1, image='image', size=0):
    return placement.Request(
        size, features.parse_expression('ssd'), image_id=image,
        holders=frozenset(holders), preference=preference)


def chosen(request, *pools, policy='proportional'):
    found = placement.decide(request, pools, placement.get_policy(policy))
    return found.chosen and found.chosen.backend.split('@')[1].split('#')[0]


@ddt.ddt
class TestPreference(base.BaseTestCase):

    @ddt.data(('proportional', 109, 'b'), ('proportional', 112, 'a'),
              ('strict', 109, 'b'), ('strict', 112, 'a'),
              # It goes by room: 1000 less what they hold.
              ('capacity', 150, 'b'), ('capacity', 250, 'a'))
    @ddt.unpack
    def test_so_far_and_no_further(self, policy, held, expected):
        pools = pool('a', 100), pool('b', held)
        self.assertEqual('a', chosen(ask(), *pools, policy=policy))
        self.assertEqual(expected, chosen(ask(['fsid-b']), *pools,
                                          policy=policy))

    def test_a_copy_counts_like_the_image(self):
        self.assertEqual('b', chosen(
            ask(), pool('a', 100), pool('b', 105,
                                        images=frozenset({'image'}))))
        self.assertEqual('a', chosen(
            ask(), pool('a', 100), pool('b', 105,
                                        images=frozenset({'other'}))))

    def test_without_an_image_nobody_is_preferred(self):
        self.assertEqual('a', chosen(
            ask(['fsid-b'], 1.0, image=None), pool('a'), pool('b', 1)))

    @ddt.data('proportional', 'strict', 'capacity')
    def test_weight_0_and_tags_and_room_still_rule(self, policy):
        request = ask(['fsid-b'], 1.0, size=5)
        self.assertEqual('a', chosen(
            request, pool('a', 500), pool('b', weight=0), policy=policy))
        self.assertEqual('a', chosen(
            request, pool('a', 500), pool('b', tags='hdd'), policy=policy))
        self.assertEqual('a', chosen(
            request, pool('a', 500), pool('b', total_gb=4.0),
            policy=policy))

    def test_strict_keeps_to_the_higher_weight(self):
        self.assertEqual('a', chosen(
            ask(['fsid-b'], 1.0), pool('a', 500, weight=3), pool('b'),
            policy='strict'))

    def test_proportional_shares_stay_near_the_weights(self):
        index = placement.PlacementIndex(
            placement.get_policy('proportional'))
        for each in pool('a', weight=3), pool('b'):
            index.put(each)
        request = ask(['fsid-b'], 0.2, size=1)
        for _ in range(400):
            index.consume(next(index.ranked(request)).backend, 1)
        held = index.pools['host@b#vols'].pending_gb
        # b counts as 0.8 of what it holds: 117.6 * 0.8 = 282.4 / 3.
        self.assertEqual(117, held)

    def test_the_explanation_names_it(self):
        found = placement.decide(
            ask(['fsid-b']), [pool('a', 100), pool('b', 105)],
            placement.get_policy('proportional'))
        self.assertIn('it has the image', found.verdicts[0].reasons[0])
        self.assertNotIn('image', found.verdicts[1].reasons[0])

    def test_images_come_and_go_with_reports(self):
        index = placement.PlacementIndex(placement.get_policy('strict'))
        index.put(pool('a', 100))
        for images, best in ((frozenset({'image'}), 'b'),
                             (frozenset(), 'a')):
            index.put(pool('b', 101, images=images))
            self.assertEqual(f'host@{best}#vols',
                             next(index.ranked(ask())).backend)
        index.put(pool('b', 101, images=frozenset({'image'})))
        index.drop('host@b#vols')
        self.assertEqual({}, index._with_image)
