# SPDX-License-Identifier: Apache-2.0
"""Which quota reservations are made for which entry of the journal.

A delete reserves, removes the record, commits the reservation. If the service
dies in between, nothing in Cinder's tables says that the reservation belongs
to a volume that is gone, and the project's usage stays too high. So the entry
is noted with the reservation, in the same transaction.
"""

from collections.abc import Iterator
import contextlib
import threading
from typing import Any

from cinder import context as cinder_context
from oslo_log import log as logging
import sqlalchemy as sa

from cinder_tagged import cinder_database
from cinder_tagged.resume.journal import Journal
from cinder_tagged.resume.journal import tables

LOG = logging.getLogger(__name__)
_here = threading.local()


def current() -> int | None:
    """Return the entry that this thread works on."""
    return getattr(_here, 'entry', None)


@contextlib.contextmanager
def entry(entry_id: int) -> Iterator[None]:
    """Work on an entry within."""
    before = current()
    _here.entry = entry_id
    try:
        yield
    finally:
        _here.entry = before


def install() -> None:
    """Note each reservation that is made for an entry from now on."""
    target = cinder_database.models.Reservation, 'after_insert', note
    if not sa.event.contains(*target):
        sa.event.listen(*target)


def note(mapper: Any, connection: sa.Connection, made: Any) -> None:
    """Write down one reservation, in the transaction that makes it."""
    if current() is not None:
        connection.execute(tables.RESERVATIONS.insert().values(
            uuid=made.uuid, entry=current(), project_id=made.project_id))


def settle(journal: Journal, entry_id: int, *, gone: bool) -> None:
    """End what the dead owner of an entry had reserved.

    :param gone: the resource was removed: then what that gives back counts
    """
    context = cinder_context.get_admin_context()
    for project, reservations in journal.reserved(entry_id).items():
        # Those that were ended before are passed over.
        end = (cinder_database.api.reservation_commit if gone
               else cinder_database.api.reservation_rollback)
        end(context, reservations, project_id=project)
        LOG.info('%s %d quota reservation(s) of project %s.',
                 'Committed' if gone else 'Rolled back', len(reservations),
                 project)
