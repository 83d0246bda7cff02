# SPDX-License-Identifier: Apache-2.0
"""Options of the journal, group ``[resume]`` of cinder.conf."""

from oslo_config import cfg

GROUP = 'resume'

OPTS = [
    cfg.StrOpt(
        'connection', secret=True,
        help='SQLAlchemy connection of the database that holds the journal. '
             'Empty: the database of Cinder itself ([database] connection). '
             'The user needs CREATE TABLE at the first start, or run '
             '"cinder-tagged-resume sync" once with a user who may.'),
    cfg.StrOpt(
        'token_key_file',
        help='File with a Fernet key (cinder-tagged-resume key makes one) '
             'that encrypts the token of a user in the journal. The same '
             'file on every host that runs cinder-api, cinder-scheduler or '
             'cinder-volume, readable by them only. Without it tokens are '
             'not kept: a create from an image or an upload that is resumed '
             'then works only for images that Cinder may read by itself.'),
    cfg.FloatOpt(
        'lost_after', default=10.0, min=1.0,
        help='Seconds after which a request that no service has claimed '
             'counts as lost in the message bus and is carried out again. '
             'Set it above the time that messages normally wait in queues; '
             'too early costs a little work, not correctness, since each '
             'request is claimed by one service only. It is shorter by '
             'itself for two minutes after a service was fenced.'),
    cfg.FloatOpt(
        'heartbeat', default=1.0, min=0.1, max=60.0,
        help='Seconds between two signs of life that each service writes to '
             'the journal.'),
    cfg.FloatOpt(
        'poll', default=1.0, min=0.1,
        help='Seconds between two looks of a service at the journal for '
             'requests left behind by a fenced one.'),
    cfg.FloatOpt(
        'dead_after', default=10.0, min=0.0,
        help='Seconds without a sign of life in the journal after which '
             'other services fence a service and take its requests over. '
             '0: never by themselves; the HA agent, or an operator with '
             '"cinder-tagged-resume takeover", says who is dead. Fencing a '
             'service that lives ends it (it restarts, fenced off its old '
             'work), so set this well above heartbeat and above the pauses '
             'of services and database. The clocks of all services must '
             'agree to a fraction of it.'),
    cfg.FloatOpt(
        'bus_deadline', default=15.0, min=0.0,
        help='Seconds without a confirmation from the message bus after '
             'which a service is cut off from it. If the bus has confirmed '
             'something to a service of the same kind and queue since, the '
             'one that is cut off fences itself, and others do its work. '
             '0: the bus is not watched.'),
    cfg.IntOpt(
        'concurrency', default=4, min=1, max=64,
        help='How many requests left behind one service carries out at the '
             'same time. Keeps the takeover of many from crowding out new '
             'requests, the database and the clusters.'),
    cfg.IntOpt(
        'max_pool_size', default=8, min=2,
        help='How many connections to the journal each process keeps open. '
             'More are not opened: whoever finds none free waits the few '
             'milliseconds that another needs. Count them into the '
             'connections that the database allows, beside those of '
             '[database] max_pool_size and max_overflow.'),
    cfg.IntOpt(
        'max_attempts', default=3, min=1,
        help='How often a request is begun again before it ends in error: '
             'protects against one that kills each service that takes it.'),
]


def register(conf: cfg.ConfigOpts) -> None:
    """Register the options; harmless when done twice."""
    conf.register_opts(OPTS, group=GROUP)


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    return [(GROUP, OPTS)]
