# SPDX-License-Identifier: Apache-2.0
"""Cinder's states of backends and pools, tied to the placement board."""

from collections.abc import Callable
from collections.abc import Iterable
import functools
from typing import Any

from cinder.scheduler import host_manager
from oslo_config import cfg

from cinder_tagged import exceptions
from cinder_tagged import placement
from cinder_tagged.scheduler import board as board_mod
from cinder_tagged.scheduler import options

CONF = cfg.CONF
options.register(CONF)

#: Told of each placement: (pool, size in GiB).
OnConsume = Callable[['TaggedPoolState', float], None]


class TaggedPoolState(host_manager.PoolState):
    """A pool whose placements are counted by the board as well."""

    def __init__(self, board: board_mod.Board, on_consume: OnConsume,
                 host: str, cluster_name: str | None,
                 capabilities: dict[str, Any] | None, pool_name: str):
        super().__init__(host, cluster_name, capabilities, pool_name)
        self.board = board
        self._on_consume = on_consume

    def consume_from_volume(self, volume: Any,
                            update_time: bool = True) -> None:
        """Count a placement here; a negative size takes one back."""
        super().consume_from_volume(volume, update_time)
        size_gb = volume['size']
        if size_gb < 0:
            self.board.revert(self.backend_id, -size_gb)
        else:
            self._on_consume(self, size_gb)


class TaggedBackendState(host_manager.BackendState):
    """A volume service whose pools are tied to the board."""

    def __init__(self, board: board_mod.Board, on_consume: OnConsume,
                 host: str, cluster_name: str | None,
                 capabilities: dict[str, Any] | None = None,
                 service: dict[str, Any] | None = None):
        super().__init__(host, cluster_name, capabilities, service)
        self.pool_state_cls = functools.partial(TaggedPoolState, board,
                                                on_consume)

    def keep_service(self, service: dict[str, Any]) -> None:
        """Take over a changed service record, such as its zone."""
        for state in (self, *self.pools.values()):
            state.service = host_manager.ReadOnlyDict(service)


def pool_of(state: host_manager.BackendState,
            backend_state: str | None = None) -> placement.Pool:
    """Return a pool as placement sees it.

    A report that cannot be used makes a pool that takes nothing, and says so.

    :param backend_state: what the service as a whole reports, if it does
    """
    caps = dict(state.capabilities)
    if backend_state is not None:
        caps.setdefault('backend_state', backend_state)
    try:
        return placement.Pool.from_capabilities(
            state.backend_id, caps,
            max_over_subscription_ratio=state.max_over_subscription_ratio)
    except (exceptions.FeatureConfigError, TypeError, ValueError) as error:
        return placement.Pool(state.backend_id, up=False,
                              down_reason=f'its report is unusable: {error}')


def board_of(states: Iterable[host_manager.BackendState]) -> board_mod.Board:
    """Return the board that knows the states.

    The states of Cinder's own host manager know none; they get one made of
    what they hold now, with this scheduler's placements already in it.
    """
    known = list(states)
    if known and isinstance(known[0], TaggedPoolState):
        return known[0].board
    board = board_mod.Board(options.policy(CONF))
    for state in known:
        pool = pool_of(state)
        for name, value in (
                ('free_gb', state.free_capacity_gb),
                ('allocated_gb', state.allocated_capacity_gb),
                ('provisioned_gb', state.provisioned_capacity_gb)):
            if isinstance(value, (int, float)):
                setattr(pool, name, float(value))
        board.put(pool)
    return board
