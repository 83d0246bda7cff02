# SPDX-License-Identifier: Apache-2.0
"""Tables of the journal.

They carry the project's name, so that they may stand in Cinder's own database
without meeting its tables; no table of Cinder's is changed.
"""

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

METADATA = sa.MetaData()

_TEXT = sa.Text().with_variant(mysql.MEDIUMTEXT(), 'mysql')
#: Seconds since 1970; needs more digits than MySQL's FLOAT has.
_TIME = sa.Double

ENTRIES = sa.Table(
    'cinder_tagged_entries', METADATA,
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer, 'sqlite'),
              primary_key=True, autoincrement=True),
    sa.Column('method', sa.String(64), nullable=False),
    sa.Column('resource_id', sa.String(36), nullable=False),
    sa.Column('request_id', sa.String(64), nullable=False),
    sa.Column('message', _TEXT, nullable=False),
    sa.Column('token', _TEXT),
    sa.Column('queue', sa.String(255)),
    sa.Column('state', sa.String(16), nullable=False),
    sa.Column('owner', sa.String(36)),
    sa.Column('attempts', sa.Integer, nullable=False, default=0),
    sa.Column('created_at', _TIME, nullable=False),
    sa.Column('changed_at', _TIME, nullable=False),
    sa.Index('cinder_tagged_entries_resource', 'resource_id', 'method'),
    sa.Index('cinder_tagged_entries_owner', 'owner'),
    mysql_engine='InnoDB',
)

INCARNATIONS = sa.Table(
    'cinder_tagged_incarnations', METADATA,
    sa.Column('id', sa.String(36), primary_key=True),
    sa.Column('kind', sa.String(32), nullable=False),
    sa.Column('host', sa.String(255), nullable=False),
    sa.Column('queue', sa.String(255)),
    sa.Column('node', sa.String(255), nullable=False),
    sa.Column('pid', sa.Integer, nullable=False),
    sa.Column('clients', _TEXT, nullable=False),
    sa.Column('started_at', _TIME, nullable=False),
    sa.Column('seen_at', _TIME, nullable=False),
    sa.Column('fenced_at', _TIME),
    sa.Column('cut_at', _TIME),
    sa.Column('sick_at', _TIME),
    sa.Column('sound_at', _TIME),
    sa.Column('why', sa.String(255)),
    mysql_engine='InnoDB',
)

#: Which of Cinder's quota reservations were made for which entry.
RESERVATIONS = sa.Table(
    'cinder_tagged_reservations', METADATA,
    sa.Column('uuid', sa.String(36), primary_key=True),
    sa.Column('entry', sa.BigInteger, nullable=False),
    sa.Column('project_id', sa.String(255)),
    sa.Index('cinder_tagged_reservations_entry', 'entry'),
    mysql_engine='InnoDB',
)

#: How many were done again, by operation and by what they came to.
OUTCOMES = sa.Table(
    'cinder_tagged_outcomes', METADATA,
    sa.Column('method', sa.String(64), primary_key=True),
    sa.Column('outcome', sa.String(16), primary_key=True),
    sa.Column('number', sa.BigInteger, nullable=False),
    sa.Column('seconds', _TIME, nullable=False),
    sa.Column('longest', _TIME, nullable=False),
    mysql_engine='InnoDB',
)
