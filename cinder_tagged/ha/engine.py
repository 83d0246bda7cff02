# SPDX-License-Identifier: Apache-2.0
"""Bind the pure core to something that can act: the agent or the simulator."""

from typing import Protocol

from cinder_tagged.ha.core import actions as act
from cinder_tagged.ha.core import decide
from cinder_tagged.ha.core import observe
from cinder_tagged.ha.core import state as st


class Env(Protocol):
    """Every effect, and the clock, that a node's decisions reach."""

    def now(self) -> float:
        """Seconds of this node's monotonic clock."""

    def perform(self, action: act.Action, node: st.NodeState) -> None:
        """Carry out ``action`` without blocking; ``node`` decided it."""


class Engine:
    """One node's state, fed with observations, acting through ``env``."""

    def __init__(self, node: st.NodeState, env: Env) -> None:
        self.node = node
        self.env = env

    def feed(self, seen: observe.Observation) -> None:
        """Take note of one observation; nothing is done yet."""
        self.node = observe.observe(self.node, seen, self.env.now())

    def turn(self) -> float:
        """Decide, act, and return when to be called again (own clock)."""
        self.node, actions = decide.decide(self.node, self.env.now())
        for action in actions:
            self.env.perform(action, self.node)
        return decide.wake_at(self.node)
