# SPDX-License-Identifier: Apache-2.0
"""Carry a message out only if its entry can be claimed."""

from collections.abc import Callable
import dataclasses
from typing import Any

from cinder import context as cinder_context
from cinder import exception
from cinder import objects
from oslo_log import log as logging
import sqlalchemy as sa

from cinder_tagged import cinder_database
from cinder_tagged.resume import ledger
from cinder_tagged.resume.core import decide
from cinder_tagged.resume.core.decide import State
from cinder_tagged.resume.core.operations import Operation
from cinder_tagged.resume.core.operations import OPERATIONS
from cinder_tagged.resume.incarnation import Life

LOG = logging.getLogger(__name__)


def find(operation: Operation, resource_id: str) -> Any | None:
    """Return the resource as the database has it; None if it is gone."""
    kind = (objects.Volume if operation.resource == 'volume'
            else objects.Snapshot)
    try:
        return kind.get_by_id(cinder_context.get_admin_context(),
                              resource_id)
    except exception.NotFound:
        return None


@dataclasses.dataclass(frozen=True, slots=True)
class Unfinished:
    """A resource on which work still goes on.

    :param service: the host or cluster that its volume belongs to, with the
        backend; None before it is scheduled
    """

    service: str | None


def unfinished(operation: Operation, resource_id: str) -> Unfinished | None:
    """Return where a resource is if its status says that work goes on.

    Three columns only: an object of Cinder's reads half a dozen tables.
    """
    volumes = cinder_database.models.Volume
    model, tables = volumes, sa.select(volumes)
    if operation.resource != 'volume':
        model = cinder_database.models.Snapshot
        tables = sa.select(model).join(volumes,
                                       volumes.id == model.volume_id)
    with cinder_database.api.get_engine().connect() as connection:
        row = connection.execute(tables.with_only_columns(
            model.status, volumes.host, volumes.cluster_name,
            maintain_column_froms=True).where(
                model.id == resource_id, sa.not_(model.deleted))).first()
    if row is None or row.status not in operation.in_flight:
        return None
    return Unfinished(row.host and (row.cluster_name or row.host))


def run(life: Life, method: str, resource_id: str, request_id: str,
        state: State, work: Callable[[], Any],
        settle: Callable[[int, Unfinished | None], None],
        learnt: dict[str, Any] | None = None) -> Any:
    """Claim, work, settle.

    :param state: what the entry becomes while this service works on it
    :param settle: told the entry's id, and where the resource is if the
        work is not over yet (None otherwise)
    :param learnt: what whoever does it again must know of this message
    """
    operation = OPERATIONS[method]
    entry, known = life.journal.claim(method, resource_id, request_id,
                                      life.id, state, life.queue)
    resource = None if entry else find(operation, resource_id)
    status = resource.status if resource is not None else None
    if not decide.may_run(entry is not None, known, status, operation):
        LOG.info('Dropped a message to %s of %s: %s.', method, resource_id,
                 'another service works on it' if known
                 else f'its work has ended ({status or "it is gone"})')
        return None
    if entry is None:
        return work()
    try:
        if learnt:
            life.journal.learn(entry, life.id, learnt)
        with ledger.entry(entry):
            return work()
    finally:
        settle(entry, unfinished(operation, resource_id))
