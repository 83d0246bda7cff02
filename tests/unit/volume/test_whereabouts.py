# SPDX-License-Identifier: Apache-2.0

import ddt
from oslotest import base

from cinder_tagged import features
from cinder_tagged.volume import whereabouts
from cinder_tagged.volume.whereabouts import Whereabouts

OWN = features.Cluster('fsid-a', 'east', 'volumes')


def pool(name, fsid, pool='volumes', tags=('ssd',)):
    return {'name': name, 'capabilities': {
        'feature_tags': list(tags), 'feature_fsid': fsid,
        'feature_pool': pool}}


POOLS = [pool('node1@east#east', 'fsid-a'), pool('node2@east#east', 'fsid-a'),
         pool('node1@west#west', 'fsid-b'),
         pool('node1@tier#tier', 'fsid-a', 'other'),
         pool('node1@new#new', ''),
         pool('node1@lvm#lvm', 'x', tags=())]


@ddt.ddt
class JudgeTest(base.BaseTestCase):

    @ddt.data(
        ('node1@east#east', 'available', Whereabouts.HERE),
        ('node1@east#east', 'error', Whereabouts.HERE),
        # Another host for the same pool: the image is the volume.
        ('node2@east#east', 'available', Whereabouts.HERE),
        ('node1@west#west', 'available', Whereabouts.ELSEWHERE),
        ('node1@west#west', 'in-use', Whereabouts.ELSEWHERE),
        ('node1@tier#tier', 'available', Whereabouts.ELSEWHERE),
        ('node1@west#west', 'creating', Whereabouts.UNKNOWN),
        ('node1@west#west', 'downloading', Whereabouts.UNKNOWN),
        (None, 'error', Whereabouts.UNKNOWN),
        # Nobody knows what is behind these.
        ('node1@new#new', 'available', Whereabouts.UNKNOWN),
        ('node1@lvm#lvm', 'available', Whereabouts.UNKNOWN),
        ('node9@west#west', 'available', Whereabouts.UNKNOWN),
    )
    @ddt.unpack
    def test_judge(self, host, status, expected):
        self.assertIs(expected, whereabouts.judge(
            host, status, 'node1@east', OWN, POOLS))

    def test_own_cluster_not_known_yet(self):
        self.assertIs(Whereabouts.UNKNOWN, whereabouts.judge(
            'node1@west#west', 'available', 'node1@east',
            features.Cluster('', 'east', 'volumes'), POOLS))
