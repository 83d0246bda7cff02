# SPDX-License-Identifier: Apache-2.0
"""Backends and their pools, as services and reports come and go.

Keeps Cinder's states and the placement board in step: by each report that
arrives, and by each look into the table of services.
"""

import threading
import time
from typing import Any

from cinder import context as cinder_context
from cinder.db import api as db
from cinder.volume import volume_utils
from oslo_log import log as logging

from cinder_tagged.scheduler import board as board_mod
from cinder_tagged.scheduler import services
from cinder_tagged.scheduler import states

LOG = logging.getLogger(__name__)

#: Seconds after which a backend whose service is gone is forgotten. Until
#: then explanations name it, and say why it gets nothing.
FORGET = 3600.0

_SILENT = 'its volume service sends no heartbeat'
_NOT_SERVING = 'its volume service is disabled, frozen or removed'


class Registry:
    """Who serves, what they reported, and what that means for placement.

    The lock guards the tables here; nothing waits while it is held.

    :param reports: Cinder's table of reports, by cluster or host
    :param backends: Cinder's table of backend states, kept current here
    """

    def __init__(self, board: board_mod.Board,
                 on_consume: states.OnConsume,
                 reports: dict[str, Any],
                 backends: dict[str, states.TaggedBackendState]):
        self.board = board
        self._on_consume = on_consume
        self._reports = reports
        self._backends = backends
        self._lock = threading.RLock()
        self._serving: dict[str, services.Serving] = {}
        self._pools: dict[str, states.TaggedPoolState] = {}
        self._names: dict[str, set[str]] = {}  # pools by backend, last known
        self._last_caps: dict[str, dict[str, Any]] = {}  # of withdrawn pools
        self._gone_since: dict[str, float] = {}
        self._counting = True

    # -- asking ---------------------------------------------------------------

    def pool(self, name: str) -> states.TaggedPoolState | None:
        """Return the state of a pool that may be used now."""
        return self._pools.get(name)

    def pools(self) -> list[states.TaggedPoolState]:
        """Return the states of all pools that may be used now."""
        with self._lock:
            return list(self._pools.values())

    def pools_at(self, backend: str) -> list[states.TaggedPoolState]:
        """Return the pools of a backend; of one pool, if that is named."""
        with self._lock:
            if volume_utils.extract_host(backend, 'pool'):
                state = self._pools.get(backend)
                return [state] if state is not None else []
            return [self._pools[name] for name in self._names.get(backend, ())
                    if name in self._pools]

    def withdrawn(self) -> dict[str, dict[str, Any]]:
        """Return the last capabilities of tagged pools that are gone."""
        with self._lock:
            return dict(self._last_caps)

    # -- reports ------------------------------------------------------------

    def reported(self, key: str) -> bool:
        """Take over the last report of a backend.

        :returns: False if no service by that key is known to serve
        """
        with self._lock:
            serving = self._serving.get(key)
            if serving is None:
                return False
            caps = (self._reports.get(serving.cluster_name)
                    or self._reports.get(serving.host))
            if caps is None:
                return True
            backend = self._backend(key, serving)
            backend.update_from_volume_capability(
                caps, service=backend.service)
            pools = {pool.backend_id: pool for pool in backend.pools.values()}
            gone = self._names.get(key, set()) - pools.keys()
            self._names[key] = set(pools)
            for name in gone:
                self._pools.pop(name, None)
                self._last_caps.pop(name, None)
        state = caps.get('backend_state')
        for pool in pools.values():
            self._put(pool, state, serving)
        for name in gone:
            self.board.drop(name)
        with self._lock:
            if self._backends.get(key) is backend:
                self._pools.update(pools)
        return True

    def _backend(self, key: str, serving: services.Serving,
                 ) -> states.TaggedBackendState:
        backend = self._backends.get(key)
        if backend is None:
            backend = states.TaggedBackendState(
                self.board, self._on_consume, serving.host,
                serving.cluster_name, service=dict(serving.record))
            self._backends[key] = backend
            self._gone_since.pop(key, None)
        for name in self._names.get(key, ()):
            self.board.restore(name)
            self._last_caps.pop(name, None)
        return backend

    def _put(self, state: states.TaggedPoolState, backend_state: str | None,
             serving: services.Serving) -> None:
        name = state.backend_id
        count = self.board.begin_count(name)
        allocated = self._allocated(state, serving)
        pool = states.pool_of(state, backend_state)
        if allocated is None:
            count = self.board.begin_count(name, by_database=False)
        else:
            pool.allocated_gb = allocated
        self.board.put(pool, count)

    def _allocated(self, state: states.TaggedPoolState,
                   serving: services.Serving) -> float | None:
        """Count in the database what a pool holds, in GiB.

        Volumes on their way to it are in there, whoever placed them: a
        scheduler writes the host before it passes a volume on. The volumes of
        a cluster carry the host of one of its members.

        :returns: None if the database does not answer
        """
        context = cinder_context.get_admin_context()
        try:
            total = sum(db.volume_data_get_for_host(
                context, f'{host}#{state.pool_name}')[1]
                for host in serving.members)
        except Exception as error:
            if self._counting:
                LOG.warning('Cannot count volumes in the database, using what '
                            'the volume services report: %s', error)
            self._counting = False
            return None
        self._counting = True
        return float(total)

    # -- services -----------------------------------------------------------

    def apply(self, snapshot: services.Snapshot) -> set[str]:
        """Take over who serves now.

        :returns: keys of services that have not reported yet
        """
        fresh, waiting = set(), set()
        with self._lock:
            before, self._serving = self._serving, snapshot.serving
            for key, serving in snapshot.serving.items():
                backend = self._backends.get(key)
                if (self._reports.get(serving.cluster_name) is None
                        and self._reports.get(serving.host) is None):
                    waiting.add(key)
                elif (backend is None or backend.host != serving.host
                      or backend.cluster_name != serving.cluster_name):
                    self._remove(key)
                    fresh.add(key)
                elif key not in before or before[key].mark != serving.mark:
                    backend.keep_service(dict(serving.record))
            lost = self._names.keys() - snapshot.serving.keys()
            for key in lost:
                self._lose(key, _SILENT if key in snapshot.silent
                           else _NOT_SERVING)
        for key in fresh:
            self.reported(key)
        return waiting

    def _remove(self, key: str) -> bool:
        """Take a backend out of use; its numbers stay on the board."""
        for name in self._names.get(key, ()):
            self._pools.pop(name, None)
        return self._backends.pop(key, None) is not None

    def _lose(self, key: str, reason: str) -> None:
        tagged = {name: pool for name in self._names[key]
                  if (pool := self._pools.get(name)) is not None
                  and pool.capabilities.get('feature_tags')}
        if self._remove(key):
            LOG.warning('Backend %(key)s gets no more volumes: %(reason)s',
                        {'key': key, 'reason': reason})
        now = time.monotonic()
        since = self._gone_since.setdefault(key, now)
        for name, pool in tagged.items():
            self._last_caps[name] = dict(
                pool.capabilities, backend_state='down',
                feature_down_reason=reason)
        for name in self._names[key]:
            self.board.withdraw(name, reason)
        if now - since > FORGET:
            for name in self._names.pop(key):
                self.board.drop(name)
                self._last_caps.pop(name, None)
            del self._gone_since[key]
