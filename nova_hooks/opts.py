# SPDX-License-Identifier: Apache-2.0
"""Options of the filter, in nova.conf."""

from oslo_config import cfg

from nova_hooks import asking

GROUP = 'feature_disks'

OPTS = [
    cfg.ListOpt(
        'sources', default=list(asking.SOURCES),
        item_type=cfg.types.String(choices=asking.SOURCES),
        help='Places that may name the feature of a system disk: the '
             'scheduler hint "feature" (hint), the server metadata '
             '"feature" (metadata), the flavor extra spec "feature:require" '
             '(flavor), the image property "feature" (image). They are read '
             'in this order whatever the order here. The first three must '
             'agree; the image property counts only if none of them speaks. '
             'Leaving out "image" saves one request to Glance for every '
             'server create.'),
    cfg.BoolOpt(
        'derive_volume_types', default=True,
        help='Make a private volume type for an expression that no volume '
             'type carries yet, such as "ssd & db", and open it to the '
             'project that asks. Needs a user in [cinder] that may manage '
             'volume types. If false, such a request is refused and the '
             'operator makes the volume types, each with the expression in '
             'its extra spec feature:require.'),
    cfg.IntOpt(
        'max_derived_types', default=100, min=0,
        help='How many volume types may be derived in the whole cloud. When '
             'the number is reached, requests with further expressions are '
             'refused; delete derived types that no volume uses any more '
             '(they carry the extra spec feature:derived), or raise it.'),
    cfg.IntOpt(
        'cache_seconds', default=60, min=0,
        help='How long the list of volume types is kept, in seconds. A type '
             'that is not in it is looked for at once, so this only delays '
             'when a changed or deleted type is noticed.'),
    cfg.IntOpt(
        'timeout', default=20, min=1,
        help='Seconds until a request to Cinder or Keystone is given up; '
             'the server create is then refused with status 503.'),
    cfg.BoolOpt(
        'check_quota', default=True,
        help='Check the volume quota before a server is accepted, so that '
             'the client gets an error at once instead of a server in the '
             'state ERROR. Costs one request to Cinder for a server with a '
             'feature.'),
]


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    """Return (group, options) pairs for the sample generator."""
    return [(GROUP, OPTS)]
