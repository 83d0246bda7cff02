# SPDX-License-Identifier: Apache-2.0
"""Options of the scheduler's side, group ``[feature]``."""

from oslo_config import cfg

from cinder_tagged import placement

GROUP = 'feature'

OPTS = [
    cfg.StrOpt(
        'policy', default='proportional', choices=[
            ('proportional', 'Clusters that match share in proportion to '
             'their weight factors, by provisioned capacity.'),
            ('strict', 'The highest weight factor first; the next one when '
             'it can take no more.'),
            ('capacity', 'The cluster with the most room first, whatever '
             'the weight factors are.')],
        help='How the weight factors of several matching clusters decide '
             'between them. In every policy a cluster of weight 0 is used '
             'only when no other one can take the request. Give all '
             'schedulers the same policy.'),
    cfg.FloatOpt(
        'image_preference', default=0, min=0, max=100,
        help='How much less loaded a cluster counts, in percent, for a '
             'volume made from an image that the cluster holds already, '
             'because the image is stored there or has been copied there: '
             'the volume is then a clone at once. Tags and weight factors '
             'still rule: with 10, a cluster that holds the image goes '
             'ahead of others that are up to a tenth emptier, and no '
             'further; with 100 it always does, except before a full one '
             'or, with the policy "strict", one of a higher weight. 0 '
             'switches it off, and Glance is then not asked where images '
             'are.'),
    cfg.FloatOpt(
        'image_lookup_seconds', default=1.0, min=0,
        help='How long a request waits for Glance to say where its image '
             'is, in seconds, if image_preference is set. After that the '
             'request goes on without a preference; the answer, when it '
             'comes, serves the requests that follow.'),
    cfg.FloatOpt(
        'service_cache_seconds', default=2.0, min=0,
        help='How long the scheduler trusts its last look into the table of '
             'services (which volume services are up, enabled and not '
             'frozen, and how many schedulers there are), in seconds. '
             'Cinder itself looks for each request, which is most of the '
             'price of a request in a large cloud; 0 does the same. A '
             'service that is disabled may still get volumes for so long. '
             'Where reading the table is slow, the scheduler waits at least '
             'ten times as long as reading took, up to 15 seconds.'),
    cfg.BoolOpt(
        'notifications', default=False,
        help='Send a notification "feature.placement" for each placement '
             'decision: what was asked, how many clusters matched, which '
             'one was chosen and why. They go out beside the request and '
             'are dropped when the message bus cannot keep up. Needs '
             '[oslo_messaging_notifications] driver.'),
    cfg.BoolOpt(
        'manage_types', default=True,
        help='Create a volume type for each tag that a backend reports. '
             'Types that somebody else made are never changed, and no type '
             'is ever deleted. Switch it off to make all types by hand.'),
    cfg.FloatOpt(
        'weight_multiplier', default=1.0,
        help='Factor of the FeatureWeigher where further weighers are '
             'enabled beside it in [DEFAULT] scheduler_default_weighers. The '
             'best cluster gets this many points, the second half of them, '
             'the third a third of them. Negative numbers turn the order '
             'round.'),
]


def register(conf: cfg.ConfigOpts) -> None:
    """Make the options known; harmless when they are already."""
    conf.register_opts(OPTS, group=GROUP)


def policy(conf: cfg.ConfigOpts) -> placement.Policy:
    """Return the policy that the configuration names."""
    return placement.get_policy(conf.feature.policy)
