# SPDX-License-Identifier: Apache-2.0
"""Scheduler filter: backends that have the features asked for, and room."""

from collections.abc import Iterable
from collections.abc import Iterator
from typing import Any

from cinder.scheduler import filters
from oslo_log import log as logging

from cinder_tagged import exceptions
from cinder_tagged.scheduler import asked
from cinder_tagged.scheduler import states

LOG = logging.getLogger(__name__)


class FeatureFilter(filters.BaseBackendFilter):
    """Passes backends whose tags meet the request and that can take it.

    The tagged host manager answers for it from its index; as an ordinary
    filter it comes to the same result backend by backend.
    """

    def filter_all(self, filter_obj_list: Iterable[Any],
                   filter_properties: dict[str, Any]) -> Iterator[Any]:
        """Yield the backends that pass; none if the request is unreadable."""
        backends = list(filter_obj_list)
        try:
            request = asked.request_of(filter_properties)
        except exceptions.ExpressionError as error:
            LOG.warning('No backend passes for volume %(id)s: %(error)s',
                        {'id': asked.volume_id_of(filter_properties),
                         'error': error})
            return
        judged = states.board_of(backends).judge(
            request, [b.backend_id for b in backends])
        for backend in backends:
            verdict = judged.get(backend.backend_id)
            if verdict is not None and verdict.accepted:
                yield backend

    def backend_passes(self, backend_state: Any,
                       filter_properties: dict[str, Any]) -> bool:
        """Tell whether one backend passes."""
        return any(self.filter_all([backend_state], filter_properties))
