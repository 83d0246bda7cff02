# SPDX-License-Identifier: Apache-2.0
"""Selection strategies: in which order controlled nodes may take a role.

A strategy is a function (role, candidate, lost holder's rack) -> sort key;
the lowest key goes first, ties go by a hash that spreads roles over nodes.
Every node ranks for itself.  Nodes that disagree only race for the same
compare-and-swap, so a strategy can never break safety.
"""

from collections.abc import Callable
from collections.abc import Iterable
import dataclasses
import hashlib
from typing import Any


@dataclasses.dataclass(frozen=True, slots=True)
class Candidate:
    """A node that could take the role, as the deciding node knows it."""

    name: str
    rack: str = ''
    priority: int = 0
    load: float = 0.0


Key = Callable[[str, Candidate, str], tuple[Any, ...]]


def by_priority(role: str, node: Candidate, lost_rack: str) -> tuple[Any, ...]:
    """Highest configured priority first."""
    return (-node.priority,)


def by_load(role: str, node: Candidate, lost_rack: str) -> tuple[Any, ...]:
    """Lowest load first, in steps of 0.25 so that nodes rank alike."""
    return (round(node.load * 4), -node.priority)


def same_rack(role: str, node: Candidate, lost_rack: str) -> tuple[Any, ...]:
    """Nodes in the lost holder's rack first."""
    return (node.rack != lost_rack, -node.priority)


def other_rack(role: str, node: Candidate, lost_rack: str) -> tuple[Any, ...]:
    """Nodes outside the lost holder's rack first."""
    return (node.rack == lost_rack, -node.priority)


STRATEGIES: dict[str, Key] = {
    'priority': by_priority,
    'lowest_load': by_load,
    'same_rack': same_rack,
    'other_rack': other_rack,
}


def _spread(role: str, name: str) -> str:
    return hashlib.sha256(f'{role}/{name}'.encode()).hexdigest()


def order(key: Key, role: str, candidates: Iterable[Candidate],
          lost_rack: str = '') -> list[str]:
    """Return the candidates' names, the one to take over first."""
    return [node.name for node in sorted(
        candidates, key=lambda node: (*key(role, node, lost_rack),
                                      _spread(role, node.name), node.name))]
