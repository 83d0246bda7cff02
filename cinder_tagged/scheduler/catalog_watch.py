# SPDX-License-Identifier: Apache-2.0
"""What follows from a changed set of features, away from the reports.

When a scheduler starts, every backend reports a feature that is new to it.
Changes are gathered for a moment, so that this costs one catalogue and not
one for each report.
"""

from collections.abc import Callable
import threading

from oslo_log import log as logging

from cinder_tagged import features

LOG = logging.getLogger(__name__)

#: Seconds in which further changes join the first.
GATHER = 1.0
#: Seconds to wait at a start for services that have not reported yet.
PATIENCE = 60.0


class CatalogWatch:
    """Reports contradictions, and passes changed first-level features on.

    :param fetch: returns all second-level features
    :param complete: tells whether every live service has reported
    :param consumer: called with the catalogue when a tag comes or goes, or
        another backend carries it
    """

    def __init__(self,
                 fetch: Callable[[], list[features.SecondLevelFeature]],
                 complete: Callable[[], bool],
                 consumer: Callable[[features.Catalog], None] | None,
                 gather: float = GATHER, patience: float = PATIENCE):
        self._fetch = fetch
        self._complete = complete
        self._consumer = consumer
        self._gather = gather
        self._patience = patience
        self._news = threading.Event()
        self._start = threading.Lock()
        self._thread: threading.Thread | None = None
        self._first_level: dict[str, features.FirstLevelFeature] | None = None
        self._conflicts: frozenset[str] = frozenset()

    def changed(self) -> None:
        """Note that a feature changed; returns at once."""
        self._news.set()
        if self._thread is not None:
            return
        # Only now, since services fork between their making and their work.
        with self._start:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name='feature-catalog', daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            self._news.wait()
            try:
                self._gather_changes()
                self.look()
            # The thread must outlive whatever a consumer does.
            except Exception:
                LOG.exception('Cannot follow the changed set of features')

    def _gather_changes(self) -> None:
        idle = threading.Event()  # never set: a wait is a sleep
        idle.wait(self._gather)
        while self._patience > 0 and not self._complete():
            idle.wait(self._gather)
            self._patience -= self._gather
        self._patience = 0.0
        self._news.clear()

    def look(self) -> None:
        """Build the catalogue and act on what is new in it."""
        catalog = features.Catalog(self._fetch())
        found = {c.message for c in catalog.conflicts()}
        for message in sorted(found - self._conflicts):
            LOG.warning('Feature tags contradict each other: %s', message)
        for message in sorted(self._conflicts - found):
            LOG.info('Feature tags no longer contradict each other: %s',
                     message)
        self._conflicts = frozenset(found)
        first_level = catalog.first_level
        if first_level != self._first_level:
            LOG.info('Features on offer: %s', ', '.join(
                f'{word} ({len(feature.backends)})'
                for word, feature in first_level.items()) or 'none')
            self._first_level = first_level
            if self._consumer is not None:
                self._consumer(catalog)
