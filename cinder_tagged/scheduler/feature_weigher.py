# SPDX-License-Identifier: Apache-2.0
"""Scheduler weigher: the order that the policy puts backends in."""

from typing import Any

from cinder.scheduler import base_weight
from cinder.scheduler import weights
from oslo_config import cfg

from cinder_tagged import exceptions
from cinder_tagged.scheduler import asked
from cinder_tagged.scheduler import options
from cinder_tagged.scheduler import states

CONF = cfg.CONF
options.register(CONF)


def points(place: int) -> float:
    """Return the points of a place in the order, counted from 0.

    They do not depend on how many backends follow, so that the best ones can
    have theirs before anybody looked at the rest.
    """
    return 1.0 / (place + 1)


class FeatureWeigher(weights.BaseHostWeigher):
    """Gives 1 point to the best backend, 1/2 to the second, and so on."""

    # Points are between 0 and 1 already: keep Cinder from stretching them.
    minval = 0.0
    maxval = 1.0

    def weight_multiplier(self) -> float:
        """Return the operator's factor."""
        return float(CONF.feature.weight_multiplier)

    def _weigh_object(self, obj: Any,
                      weight_properties: dict[str, Any]) -> float:
        """Return the points of a backend that stands alone."""
        return points(0)

    def weigh_objects(self,
                      weighed_obj_list: list[base_weight.WeighedObject],
                      weight_properties: dict[str, Any]) -> list[float]:
        """Return the points of all backends."""
        backends = [w.obj for w in weighed_obj_list]
        try:
            request = asked.request_of(weight_properties)
        except exceptions.ExpressionError:
            # The filter rejects such a request; without it, all are equal.
            return [points(0)] * len(backends)
        judged = states.board_of(backends).judge(
            request, [b.backend_id for b in backends])
        order = sorted(judged, key=lambda name: judged[name].order)
        place = {name: at for at, name in enumerate(order)}
        return [points(place.get(b.backend_id, len(place)))
                for b in backends]
