# SPDX-License-Identifier: Apache-2.0
"""Options of a tagged backend; they stand in the backend's own stanza."""

from oslo_config import cfg

from cinder_tagged.volume import copy_options

GROUP = 'backend_defaults'

FEATURE_OPTS = [
    cfg.ListOpt(
        'feature_tags',
        help='What this Ceph cluster is, in one or more tags: "ssd, public, '
             'db". Each tag becomes a volume type that users can ask for. A '
             'tag may be given a kind: type: (whom the cluster is for), '
             'medium: (what it is made of) or purpose: (what it is used '
             'for), as in "medium:ssd, type:public, purpose:db". A backend '
             'of the tagged driver needs at least one.'),
    cfg.StrOpt(
        'feature_weight',
        default='1',
        help='Share of this cluster among all clusters that match a '
             'request: weights 3 and 1 share the provisioned capacity in '
             'the proportion 75 to 25. A number, 0 or more; 0 means that '
             'the cluster is used only when no other one matches.'),
]

CONNECTION_OPTS = [
    cfg.IntOpt(
        'rados_connection_limit',
        default=3, min=1,
        help='Number of connections to the cluster that the volume service '
             'keeps for its operations. Operations share them, so a small '
             'number serves many at once; each costs about ten threads and '
             '20 MB of memory. One more is used to watch the cluster.'),
    cfg.FloatOpt(
        'rados_connection_check_after',
        default=1.0, min=0,
        help='A kept connection that was last checked longer ago than this '
             '(in seconds) is asked for a sign of life before it is used '
             'again, which takes about as long as one small read. A '
             'connection that the cluster has shut down is replaced.'),
    cfg.IntOpt(
        'rados_connection_idle',
        default=300, min=1,
        help='Connections beyond the first are closed when unused for this '
             'time (in seconds).'),
    cfg.IntOpt(
        'rados_mount_timeout',
        min=1,
        help='Limit in seconds for a connection to the cluster to come '
             'about. Default: rados_connect_timeout if that is above 0, '
             'otherwise 10. There is always a limit: no state of a cluster '
             'can hold a thread of the service for good.'),
    cfg.IntOpt(
        'rados_mon_timeout',
        min=1,
        help='Limit in seconds for an answer of the monitors. Default: '
             'rados_connect_timeout if that is above 0, otherwise 10.'),
    cfg.IntOpt(
        'rados_osd_timeout',
        min=1,
        help='Limit in seconds for an answer to a single object operation. '
             'Creating, deleting or copying a volume consists of many such '
             'operations and may take longer as a whole. Raise it if '
             'operations fail while the cluster recovers. Default: '
             'rados_connect_timeout if that is above 0, otherwise 30.'),
]

PROBE_OPTS = [
    cfg.IntOpt(
        'cluster_probe_interval',
        default=4, min=1,
        help='Pause in seconds between two probes of the cluster. A probe '
             'writes a few bytes to the pool and asks the monitors for the '
             'capacity. When a probe fails the backend is reported down at '
             'once, and up again after the first that succeeds. An outage '
             'is seen after at most this pause and twice '
             'cluster_probe_deadline.'),
    cfg.IntOpt(
        'cluster_probe_deadline',
        default=4, min=1,
        help='Time in seconds within which a probe has to succeed. Raise it '
             'if a busy cluster is taken for one that is down.'),
]

TAGGED_OPTS = (FEATURE_OPTS + CONNECTION_OPTS + PROBE_OPTS
               + copy_options.COPY_OPTS)


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    """Return (group, options) pairs for ``oslo.config.opts``."""
    return [(GROUP, TAGGED_OPTS)]
