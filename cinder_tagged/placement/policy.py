# SPDX-License-Identifier: Apache-2.0
"""In which order the clusters that match are offered a volume.

A policy ranks by two steps, so that an index can keep clusters sorted without
knowing the next request: clusters of one *class* compare by a *value* that
does not depend on the request, and :meth:`Policy.rank` compares across
classes. Rank grows with value; the lowest rank is served first.
"""

import abc

from cinder_tagged.placement import pool as pool_mod

Rank = tuple[float, ...]


class Policy(abc.ABC):
    """How weight factors and loads become an order."""

    name: str

    def class_of(self, weight: float) -> float:
        """Return the class that a weight factor belongs to."""
        return weight

    def value(self, load_gb: float, room: pool_mod.Room) -> float:
        """Return the value to compare by within one class."""
        return load_gb

    def favoured(self, value: float, size_gb: float, by: float) -> float:
        """Return the value of a cluster that is preferred for a request.

        It counts as that much less loaded, so that it goes ahead of others of
        about its load and no further.

        :param by: from 0, nothing, to 1, as good as empty
        """
        return (value + size_gb) * (1 - by) - size_gb

    @abc.abstractmethod
    def rank(self, weight_class: float, value: float,
             size_gb: float) -> Rank:
        """Return the order across classes; lowest first.

        Weight 0 ranks behind every other weight in all policies.
        """


class Proportional(Policy):
    """Share in proportion to weight factors, by provisioned capacity.

    Each volume goes where the load per weight is lowest once it is there.
    """

    name = 'proportional'

    def rank(self, weight_class: float, value: float,
             size_gb: float) -> Rank:
        if not weight_class:
            return (1.0, value + size_gb, 0.0)
        return (0.0, (value + size_gb) / weight_class, -weight_class)


class Strict(Policy):
    """Highest weight first, until it can take no more; then the next."""

    name = 'strict'

    def rank(self, weight_class: float, value: float,
             size_gb: float) -> Rank:
        return (0.0 if weight_class else 1.0, -weight_class, value)


class Capacity(Policy):
    """Most room first, whatever the weights; weight 0 still comes last."""

    name = 'capacity'

    def class_of(self, weight: float) -> float:
        return 1.0 if weight else 0.0

    def value(self, load_gb: float, room: pool_mod.Room) -> float:
        return -room.gb

    def favoured(self, value: float, size_gb: float, by: float) -> float:
        return value * (1 + by)

    def rank(self, weight_class: float, value: float,
             size_gb: float) -> Rank:
        return (0.0 if weight_class else 1.0, value)


POLICIES: dict[str, Policy] = {
    policy.name: policy for policy in (Proportional(), Strict(), Capacity())}


def get_policy(name: str) -> Policy:
    """Return a policy by name.

    :raises KeyError: unknown name; options restrict it to :data:`POLICIES`
    """
    return POLICIES[name]
