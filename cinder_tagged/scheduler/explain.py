# SPDX-License-Identifier: Apache-2.0
"""Tell operators and users why a request found no place."""

from collections.abc import Iterable
from collections.abc import Mapping

from cinder import context as cinder_context
from cinder.db import api as db
from oslo_log import log as logging

from cinder_tagged import exceptions
from cinder_tagged import placement
from cinder_tagged.scheduler import asked

LOG = logging.getLogger(__name__)

#: Backends that one log line spells out; those that matched come first.
MAX_SHOWN = 100
#: Characters that Cinder takes in a value of a volume's metadata.
MAX_VALUE = 255

#: Filters by backend: which of the other filters refused it.
Others = Mapping[str, str]


def summary(decision: placement.Decision, others: Others,
            required: str | None = None) -> str:
    """Say in one sentence why nothing was found, naming no backend.

    :param others: what other filters refused although placement accepts it
    :param required: the only backend that might have served, if named
    """
    if not decision.verdicts and required:
        return ('the storage that holds the source, or the group, of the '
                'volume is not available')
    text = decision.summary()
    if decision.chosen:
        accepted = sum(1 for v in decision.verdicts if v.accepted)
        names = sorted(set(others.values())) or ['the other filters']
        text = (f'{accepted} cluster(s) could take it, but '
                f'{", ".join(names)} refused them')
    if required:
        text += '; it has to be where its source or its group is'
    return text


def details(verdicts: Iterable[placement.Verdict], others: Others) -> str:
    """Say why each backend was refused."""
    known = list(verdicts)
    lines = []
    for verdict in known[:MAX_SHOWN]:
        reasons = '; '.join(verdict.reasons)
        if verdict.accepted:
            by = others.get(verdict.backend, 'another filter')
            reasons = f'refused by {by}'
        lines.append(f'{verdict.backend} '
                     f'[{", ".join(verdict.tags)}]: {reasons}')
    if len(known) > MAX_SHOWN:
        lines.append(f'and {len(known) - MAX_SHOWN} more')
    return ' | '.join(lines) or 'no backend is known'


def log_refused(properties: asked.Properties, request: placement.Request,
                decision: placement.Decision, text: str,
                others: Others) -> None:
    """Log the whole explanation, for the operator."""
    LOG.warning(
        'No place for volume %(id)s (%(operation)s, %(size)g GiB of '
        '%(wanted)s): %(text)s. Backends: %(details)s',
        {'id': asked.volume_id_of(properties),
         'operation': asked.operation_of(properties),
         'size': request.size_gb, 'wanted': request.require or 'any feature',
         'text': text, 'details': details(decision.verdicts, others)})


def log_unreadable(properties: asked.Properties,
                   error: exceptions.ExpressionError) -> None:
    """Log a request whose expression cannot be read."""
    LOG.warning('No place for volume %(id)s (%(operation)s): %(error)s',
                {'id': asked.volume_id_of(properties),
                 'operation': asked.operation_of(properties),
                 'error': error})


def store(context: cinder_context.RequestContext,
          properties: asked.Properties, expression: str | None,
          text: str) -> None:
    """Leave the explanation in the volume's metadata, for its user.

    Only for a volume that is being created. Never raises: the request fails
    in its own way, and this is only about telling why.

    :param expression: what was asked, as text
    """
    volume_id = asked.volume_id_of(properties)
    if not volume_id or asked.operation_of(properties) != 'create_volume':
        return
    if len(text) > MAX_VALUE:
        text = text[:MAX_VALUE - 3] + '...'
    metadata = {placement.WHY_METADATA: text}
    # Half an expression would mean something else.
    if expression and len(expression) <= MAX_VALUE:
        metadata[placement.ASKED_METADATA] = expression
    try:
        # An administrator may create for another project.
        db.volume_metadata_update(context.elevated(), volume_id, metadata,
                                  False)
    except Exception as error:
        LOG.warning('Cannot store in volume %(id)s why it found no place: '
                    '%(error)s', {'id': volume_id, 'error': error})
