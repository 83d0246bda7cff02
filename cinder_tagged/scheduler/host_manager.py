# SPDX-License-Identifier: Apache-2.0
"""Cinder's host manager, on an index instead of a walk over all backends.

Set by ``[DEFAULT] scheduler_host_manager``. Cinder's own host manager brings
every backend's state up to date for each request, and passes all of them
through all filters and weighers. Here reports change the states when they
arrive, and a request looks at the best matching backends only: the lists
handed to Cinder's scheduler compute themselves as far as somebody looks.
Where the configured filters or weighers need to see all backends, everything
goes the ordinary way, to the same result.
"""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses
import threading
from typing import Any

from cinder import context as cinder_context
from cinder.scheduler import base_filter
from cinder.scheduler import host_manager
from cinder.scheduler import weights
from cinder.volume import volume_types
from oslo_config import cfg
from oslo_log import log as logging

from cinder_tagged import exceptions
from cinder_tagged import placement
from cinder_tagged.scheduler import asked
from cinder_tagged.scheduler import board as board_mod
from cinder_tagged.scheduler import catalog_watch
from cinder_tagged.scheduler import explain
from cinder_tagged.scheduler import feature_filter
from cinder_tagged.scheduler import feature_weigher
from cinder_tagged.scheduler import image_holders
from cinder_tagged.scheduler import notifications
from cinder_tagged.scheduler import options
from cinder_tagged.scheduler import registry as registry_mod
from cinder_tagged.scheduler import sequences
from cinder_tagged.scheduler import services
from cinder_tagged.scheduler import states
from cinder_tagged.volume_types import keeper

LOG = logging.getLogger(__name__)
CONF = cfg.CONF
options.register(CONF)

#: Backends taken from the index at first, and by how much more each time.
FIRST_LOOK = 8
LOOK_FURTHER = 16

Properties = dict[str, Any]


@dataclasses.dataclass(slots=True)
class _Search:
    """One request on its way through filters and weighers."""

    request: placement.Request
    properties: Properties
    others: dict[str, str] = dataclasses.field(default_factory=dict)


class _Found(sequences.LazyList[Any]):
    """Backends found by a search, in the policy's order."""

    def __init__(self, source: Iterable[Any], search: _Search):
        super().__init__(source)
        self.search = search


def _keep_types() -> Any:
    """Return what makes volume types of features, if it is wanted."""
    if not CONF.feature.manage_types:
        return None
    return keeper.TypeKeeper().catalog_changed


class TaggedHostManager(host_manager.HostManager):
    """Places by feature tags, at the price of the backends that match."""

    def __init__(self) -> None:
        # Cinder's constructor reads the services already.
        self.board = board_mod.Board(options.policy(CONF))
        self._reports: dict[str, Any] = {}
        self._backends: dict[str, states.TaggedBackendState] = {}
        self.registry = registry_mod.Registry(
            self.board, self._consumed, self._reports, self._backends)
        self._watch = services.ServiceWatch(self._apply)
        self._catalog = catalog_watch.CatalogWatch(
            self.board.features, self.has_all_capabilities, _keep_types())
        self._seen_changes = 0
        self._strangers: set[str] = set()
        self._notifier = notifications.PlacementNotifier()
        self._holders = image_holders.ImageHolders()
        self._thread = threading.local()
        self._ready = False
        super().__init__()
        self.service_states = self._reports
        self.backend_state_map = self._backends
        self._ready = True
        self._update_backend_state_map(cinder_context.get_admin_context())

    # -- keeping it current -------------------------------------------------

    def _update_backend_state_map(
            self, context: cinder_context.RequestContext) -> None:
        if self._ready:
            self._watch.refresh(context.elevated())
            self._follow_features()

    def _apply(self, snapshot: services.Snapshot,
               schedulers: int | None) -> None:
        self._no_capabilities_backends = self.registry.apply(snapshot)
        if schedulers is not None:
            self.board.schedulers = schedulers

    def update_service_capabilities(self, service_name: str, host: str,
                                    capabilities: dict[str, Any],
                                    cluster_name: str | None,
                                    timestamp: Any) -> None:
        """Take over a report at once, instead of at the next request."""
        super().update_service_capabilities(
            service_name, host, capabilities, cluster_name, timestamp)
        if service_name != 'volume':
            return
        key = cluster_name or host
        if not self.registry.reported(key) and key not in self._strangers:
            # A new service; or a disabled one, so look for it only once.
            self._strangers.add(key)
            self._watch.expire()
            self._update_backend_state_map(cinder_context.get_admin_context())
        self._follow_features()

    def has_all_capabilities(self) -> bool:
        """Tell whether every live service has reported."""
        # Reports change the set in other threads: look at a copy.
        self._no_capabilities_backends = {
            key for key in tuple(self._no_capabilities_backends)
            if key not in self._reports}
        return super().has_all_capabilities()

    def first_receive_capabilities(self) -> bool:
        """Tell whether the scheduler knows enough to begin."""
        return (self.has_all_capabilities()
                and super().first_receive_capabilities())

    def _follow_features(self) -> None:
        if self.board.feature_changes != self._seen_changes:
            self._seen_changes = self.board.feature_changes
            self._catalog.changed()

    def revert_volume_consumed_capacity(self, pool_name: str,
                                        size: int) -> None:
        """Take back a placement that is about to be tried elsewhere."""
        state = self.registry.pool(pool_name)
        if state is not None:
            state.consume_from_volume({'size': -size}, update_time=False)

    # -- a request ----------------------------------------------------------

    def get_all_backend_states(
            self, context: cinder_context.RequestContext) -> Iterable[Any]:
        """Return all pools, fetched only if somebody iterates over them."""
        self._update_backend_state_map(context)
        self._thread.search = None
        return sequences.Everything(self.registry.pools)

    def get_filtered_backends(self, backends: Iterable[Any],
                              filter_properties: Properties,
                              filter_class_names: Any = None) -> Any:
        """Return the backends that pass all filters."""
        classes = (self.enabled_filters if filter_class_names is None else
                   self._choose_backend_filters(filter_class_names))
        if feature_filter.FeatureFilter not in classes:
            return super().get_filtered_backends(
                backends, filter_properties, filter_class_names)
        self._holders.note(filter_properties)
        try:
            request = asked.request_of(filter_properties)
        except exceptions.ExpressionError as error:
            self._unreadable(filter_properties, error)
            return []
        search = _Search(request, filter_properties)
        found: Any
        if (isinstance(backends, sequences.Everything)
                and _one_at_a_time(classes)):
            found = _Found(self._search(search, classes), search)
        else:
            if (isinstance(backends, sequences.Everything)
                    and (place := asked.required_backend(filter_properties))):
                backends = self.registry.pools_at(place)
            found = super().get_filtered_backends(
                backends, filter_properties, filter_class_names)
        if not found:
            self._refused(search)
        return found

    def _search(self, search: _Search,
                classes: Iterable[type[Any]]) -> Iterator[Any]:
        """Yield the backends that pass, best first."""
        filters = [each() for each in classes
                   if each is not feature_filter.FeatureFilter]
        filters = [each for each in filters if each.run_filter_for_index(0)]
        for state in self._in_order(search):
            for each in filters:
                if not each._filter_one(state, search.properties):
                    search.others[state.backend_id] = type(each).__name__
                    break
            else:
                yield state

    def _in_order(self, search: _Search) -> Iterator[states.TaggedPoolState]:
        """Yield what placement accepts, best first."""
        required = asked.required_backend(search.properties)
        if required:
            near = {s.backend_id: s for s in self.registry.pools_at(required)}
            judged = self.board.judge(search.request, near)
            yield from (near[name] for name in sorted(
                judged, key=lambda n: judged[n].order)
                if judged[name].accepted)
            return
        seen: set[str] = set()
        number = FIRST_LOOK
        while True:
            names = self.board.best(search.request, number)
            for name in names:
                state = self.registry.pool(name)
                if state is not None and name not in seen:
                    seen.add(name)
                    yield state
            if len(names) < number:
                return
            number *= LOOK_FURTHER

    def get_weighed_backends(self, backends: Any,
                             weight_properties: Properties,
                             weigher_class_names: Any = None) -> Any:
        """Return the backends with their weights, best first."""
        if isinstance(backends, _Found):
            self._thread.search = backends.search
            if self._order_stands(weigher_class_names):
                factor = CONF.feature.weight_multiplier
                return sequences.LazyList(
                    weights.WeighedHost(state,
                                        factor * feature_weigher.points(place))
                    for place, state in enumerate(backends))
        elif feature_filter.FeatureFilter in self.enabled_filters:
            self._thread.search = _Search(
                asked.request_of(weight_properties), weight_properties)
        return super().get_weighed_backends(backends, weight_properties,
                                            weigher_class_names)

    def _order_stands(self, names: Any) -> bool:
        """Tell whether weighing would leave the policy's order as it is."""
        return (self._choose_backend_weighers(names)
                == [feature_weigher.FeatureWeigher]
                and type(self.weight_handler)
                is weights.OrderedHostWeightHandler
                and CONF.feature.weight_multiplier > 0)

    # -- what came of it ------------------------------------------------------

    def _consumed(self, state: states.TaggedPoolState,
                  size_gb: float) -> None:
        """Count a placement, and tell of it."""
        search: _Search | None = getattr(self._thread, 'search', None)
        self._thread.search = None
        written = None
        if search is not None and 'context' in search.properties and (
                asked.operation_of(search.properties) == 'create_volume'):
            # Cinder's scheduler takes the context out once the volume's row
            # names its host.
            properties = search.properties
            written = lambda: 'context' not in properties  # noqa: E731
        if search is not None and CONF.feature.notifications:
            self._tell(search, state.backend_id)
        self.board.consume(state.backend_id, size_gb, written)

    def _unreadable(self, properties: Properties,
                    error: exceptions.ExpressionError) -> None:
        if asked.operation_of(properties):
            explain.log_unreadable(properties, error)
            explain.store(properties.get('context'), properties, error.text,
                          str(error))

    def _refused(self, search: _Search) -> None:
        """Explain to operator and user why there is no place."""
        if not asked.operation_of(search.properties):
            return
        required = asked.required_backend(search.properties)
        names = ([s.backend_id for s in self.registry.pools_at(required)]
                 if required else None)
        decision = placement.decide(
            search.request, self.board.pools(names), self.board.policy,
            self.board.schedulers)
        text = explain.summary(decision, search.others, required)
        explain.log_refused(search.properties, search.request, decision, text,
                            search.others)
        require = search.request.require
        explain.store(search.properties.get('context'), search.properties,
                      str(require) if require else None, text)
        if CONF.feature.notifications:
            self._notifier.submit(
                search.properties.get('context'),
                lambda: notifications.payload(search.properties, decision,
                                              text))

    def _tell(self, search: _Search, chosen: str) -> None:
        """Send what was chosen, with those that came next."""
        names = self.board.best(search.request, notifications.CONSIDERED)
        pools = self.board.pools({chosen: None, **dict.fromkeys(names)})
        matched = self.board.matching(search.request)
        schedulers = self.board.schedulers

        def build() -> dict[str, Any]:
            decision = placement.decide(search.request, pools,
                                        self.board.policy, schedulers)
            return notifications.payload(
                search.properties, decision, decision.summary(), chosen,
                matched)

        self._notifier.submit(search.properties.get('context'), build)

    def _filter_pools_by_volume_type(
            self, context: cinder_context.RequestContext, volume_type: Any,
            pools: dict[str, Any]) -> dict[str, Any]:
        """Return the pools that could take volumes of a type.

        Unlike Cinder's own, it says that no room is asked for: the
        CapacityFilter cannot do without a size.
        """
        passed = self.get_filtered_backends(pools.values(), {
            'context': context, 'size': 0, 'volume_type': volume_type,
            'resource_type': volume_type,
            'qos_specs': volume_type.get('qos_specs')})
        names = {state.backend_id for state in passed}
        return {name: pools[name] for name in pools if name in names}

    # -- get_pools ----------------------------------------------------------

    def get_pools(self, context: cinder_context.RequestContext,
                  filters: dict[str, Any] | None = None,
                  ) -> list[dict[str, Any]]:
        """List all pools and what they report, with ``backend_state``.

        Tagged pools whose volume service is gone are listed as down for a
        while, so that explanations from outside can name them. Loads are
        those that this scheduler places by: the services' own sums leave out
        volumes that were moved, and what was placed since the last report.
        """
        self._update_backend_state_map(context)
        wanted = dict(filters or {})
        name = wanted.pop('name', None)
        volume_type = wanted.pop('volume_type', None)
        pools = {pool.backend_id: pool for pool in self.registry.pools()}
        if volume_type:
            pools = self._filter_pools_by_volume_type(
                context, volume_types.get_by_name_or_id(context, volume_type),
                pools)
        listed = {} if volume_type else self.registry.withdrawn()
        board = {pool.backend: pool for pool in self.board.pools(pools)}
        for key, pool in pools.items():
            listed[key] = _with_loads(pool.capabilities, board.get(key))
        return [dict(name=key, capabilities=caps)
                for key, caps in listed.items()
                if (not name or key == name) and all(
                    self._equal_after_convert(caps.get(attr), value)
                    for attr, value in wanted.items())]


def _with_loads(reported: Mapping[str, Any],
                pool: placement.Pool | None) -> dict[str, Any]:
    """Return what a pool reports, with what the board knows better."""
    caps = dict(reported)
    caps.setdefault('backend_state', 'up' if pool and pool.up else 'down')
    if pool is not None:
        caps['allocated_capacity_gb'] = pool.allocated_gb + pool.pending_gb
        if isinstance(provisioned := caps.get('provisioned_capacity_gb'),
                      (int, float)):
            caps['provisioned_capacity_gb'] = provisioned + pool.pending_gb
    return caps


def _one_at_a_time(classes: Iterable[type[Any]]) -> bool:
    """Tell whether every filter judges each backend on its own."""
    return all(each is feature_filter.FeatureFilter
               or each.filter_all is base_filter.BaseFilter.filter_all
               for each in classes)
