# SPDX-License-Identifier: Apache-2.0
"""Options in glance-api.conf: of each store, and of the filter."""

from keystoneauth1 import loading
from oslo_config import cfg

FILTER_GROUP = 'feature_images'

STORE_OPTS = [
    cfg.StrOpt(
        'tagged_feature',
        help='Feature that every image of this store asks for, such as '
             '"ssd" or "ssd & db". An image may ask for a further one in its '
             'property "feature"; then both must hold. Leave it out for one '
             'store that serves all features by image property alone.'),
    cfg.StrOpt(
        'tagged_volume_type',
        help='Volume type of the block devices that hold images, a name or '
             'an id. If left out, Cinder uses its default type. It needs no '
             'extra spec: the feature travels as a scheduler hint.'),
    cfg.ListOpt(
        'tagged_ceph_confs', default=['/etc/ceph/ceph.conf'],
        help='Paths of the ceph.conf files of all clusters that Cinder may '
             'place images in, one for each. Each file must contain the '
             "cluster's fsid, by which it is found. A file that is missing "
             'here makes uploads to its cluster fail with its fsid named.'),
    cfg.StrOpt(
        'tagged_rbd_user', default='glance',
        help='Ceph user, without the "client." before it. It must be able to '
             'write the pools of Cinder in every cluster: caps mon "profile '
             'rbd", osd "profile rbd pool=volumes".'),
    cfg.StrOpt(
        'tagged_volume_name_template', default='volume-%s',
        help="Same as volume_name_template in cinder.conf: how a volume's "
             'RBD image is named after its id.'),
    cfg.StrOpt(
        'tagged_snapshot_name_template', default='snapshot-%s',
        help='Same as snapshot_name_template in cinder.conf.'),
    cfg.IntOpt(
        'tagged_in_flight', default=8, min=1, max=64,
        help='How many reads or writes of 4 MiB one transfer has under way '
             'at the same time. A transfer takes about twice that much '
             'memory, an upload up to four times, for the moment in which '
             'Cinder makes its volume.'),
    cfg.IntOpt(
        'tagged_ceph_timeout', default=60, min=1,
        help='Seconds after which a call to a Ceph cluster that does not '
             'answer is given up; the upload then fails and its volume is '
             'removed.'),
    cfg.IntOpt(
        'tagged_cinder_timeout', default=300, min=1,
        help='Seconds to wait until Cinder has made, extended or removed a '
             'volume or a snapshot.'),
    cfg.IntOpt(
        'tagged_http_timeout', default=60, min=1,
        help='Seconds after which one request to Cinder or Keystone is '
             'given up.'),
    cfg.IntOpt(
        'tagged_leftover_grace', default=3600, min=60,
        help='Volumes of uploads whose process was killed are removed once '
             'no image is on them, nobody has them open, and Cinder has seen '
             'no change of them for this many seconds. The clocks of Glance '
             'and Cinder must not differ by more than that.'),
    cfg.StrOpt(
        'tagged_catalog_info', default='block-storage::publicURL',
        help='Where to find Cinder in the service catalogue: '
             'type:name:interface, the name may be empty.'),
    cfg.StrOpt(
        'tagged_region',
        help="Region of Cinder's endpoint; any if left out."),
]

FILTER_OPTS = [
    cfg.StrOpt(
        'store',
        help='Store that receives images which carry the property "feature" '
             'when the client chooses no store: the id of a store of the '
             'type "tagged" in enabled_backends. If left out, such images go '
             'to the default store like all others.'),
]


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    """Return (group, options) pairs for the sample generator.

    The options of a store stand in the group named after the store, as
    those of every Glance store do.
    """
    return [('tagged', STORE_OPTS + loading.get_auth_common_conf_options()
             + loading.get_auth_plugin_conf_options('password')),
            (FILTER_GROUP, FILTER_OPTS)]
