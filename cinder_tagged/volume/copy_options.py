# SPDX-License-Identifier: Apache-2.0
"""Options of copying: seeds of images, and moving between clusters."""

from oslo_config import cfg

COPY_OPTS = [
    cfg.BoolOpt(
        'image_seeds',
        default=True,
        help='Keep a copy (a seed) of each image that volumes of this '
             'backend are made from and that is not in its cluster, and '
             'clone it: the first volume costs one copy, each later one a '
             'fraction of a second. With False such volumes are made as '
             "Cinder's RBD driver makes them, by a download for each."),
    cfg.IntOpt(
        'image_seed_max_gb',
        default=0, min=0,
        help='Space in GiB that the seeds in the pool may take. When a new '
             'one needs more, those that were not cloned for longest go. A '
             'seed with living clones never goes; when there are only such, '
             'the volume is made by a download. 0 sets no limit.'),
    cfg.IntOpt(
        'image_seed_idle_days',
        default=30, min=0,
        help='Seeds that nobody cloned for so many days, and that have no '
             'living clones, go. 0 keeps them as long as their image.'),
    cfg.IntOpt(
        'image_seed_sweep_interval',
        default=600, min=10,
        help='Pause in seconds between two sweeps of the pool. A sweep '
             'removes what killed copies left, idle seeds, and seeds whose '
             'image is gone. The last needs [service_user] with a user that '
             'sees all images; otherwise such seeds go when they are idle.'),
    cfg.IntOpt(
        'copy_wait',
        default=3600, min=1,
        help='Time in seconds for which a request waits for a copy that '
             'another request or host is making. Set it above the time that '
             'the largest image takes; progress is logged meanwhile.'),
    cfg.IntOpt(
        'copy_lease',
        default=15, min=2,
        help='Time in seconds after which the copy of a dead host is taken '
             'over by another. A host that cannot reach the cluster for so '
             'long gives its copy up. Raise it if copies are lost to short '
             'outages.'),
    cfg.IntOpt(
        'copy_in_flight',
        default=4, min=1, max=64,
        help='Objects (rbd_store_chunk_size each) that one copy reads or '
             'writes at the same time. More costs memory and helps only '
             'where single requests are slow.'),
    cfg.IntOpt(
        'copy_zero_gap',
        default=64, min=0,
        help='Runs of zeros of at least so many KiB are not written, which '
             'keeps copies thin. Smaller values keep them thinner at the '
             'cost of more and smaller writes. 0 writes all zeros of an '
             'allocated object.'),
    cfg.BoolOpt(
        'copy_verify',
        default=False,
        help='Read each copy back and compare checksums before it is used. '
             'Costs about another half of the time of the copy. Sizes are '
             'always compared.'),
    cfg.ListOpt(
        'copy_sources',
        default=[],
        help='Clusters to copy images from beside those of the other '
             'backends in this file: a list of CEPH_CONF or CEPH_CONF:USER, '
             'as in "/etc/ceph/images.conf:cinder". The user must be able '
             'to read the pool that the images are in.'),
]
