# SPDX-License-Identifier: Apache-2.0
"""Make the planned volume types in Cinder, away from the scheduler's work."""

import threading
import uuid

from cinder import context as cinder_context
from cinder import exception as cinder_exception
from cinder.db import api as db
from cinder.volume import volume_types
from oslo_db import exception as db_exc
from oslo_log import log as logging

from cinder_tagged import features
from cinder_tagged.volume_types import plan as plan_mod

LOG = logging.getLogger(__name__)

#: Ids of our types derive from it, see :func:`_free_id`.
_NAMESPACE = uuid.UUID('0f6c4b52-6f0d-5b6e-9a86-2a3c3a1e7d55')
_MAX_REMAKES = 1000


def existing_types(
        context: cinder_context.RequestContext) -> list[plan_mod.ExistingType]:
    """Read every volume type, private ones included."""
    found = volume_types.get_all_types(context, list_result=True)
    return [plan_mod.ExistingType(
        row['name'], dict(row.get('extra_specs') or {}),
        row.get('description') or '', bool(row.get('is_public', True)))
        for row in found]


def _free_id(context: cinder_context.RequestContext, word: str) -> str:
    """Return the id under which a type for the word is to be made.

    The table has no unique constraint on names: two schedulers that look for
    the name at the same time would both insert. They derive the same id, so
    that the primary key refuses the second. Rows of deleted types keep
    theirs until they are purged, hence the count.
    """
    for count in range(_MAX_REMAKES):
        candidate = str(uuid.uuid5(_NAMESPACE, f'{word}/{count}'))
        try:
            row = db.volume_type_get(context, candidate, inactive=True)
        except cinder_exception.VolumeTypeNotFound:
            return candidate
        if not row.get('deleted'):
            return candidate  # a racer's; inserting it will be refused
    return str(uuid.uuid4())


def create_type(context: cinder_context.RequestContext,
                wanted: plan_mod.NewType) -> bool:
    """Make one type.

    :returns: False if another scheduler was faster
    """
    try:
        db.volume_type_create(context, {
            'id': _free_id(context, wanted.word), 'name': wanted.name,
            'description': wanted.description, 'is_public': True,
            'extra_specs': wanted.extra_specs}, projects=[])
    except (cinder_exception.VolumeTypeExists, db_exc.DBDuplicateEntry):
        return False
    return True


class TypeKeeper:
    """Follow the catalogue of features with volume types.

    :param first_delay: seconds until the first repetition when the database
        is away; doubled each time
    :param max_delay: seconds between repetitions at most
    """

    def __init__(self, first_delay: float = 1.0, max_delay: float = 60.0):
        self._first_delay = first_delay
        self._max_delay = max_delay
        self._wanted: features.Catalog | None = None
        self._news = threading.Condition()
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._complaints: set[str] = set()

    def catalog_changed(self, catalog: features.Catalog) -> None:
        """Note the newest catalogue; a thread acts on it. Returns at once."""
        with self._news:
            self._wanted = catalog
            # Started late: a service forks before it hears of backends.
            if self._thread is None or not self._thread.is_alive():
                self._stopping = False
                self._thread = threading.Thread(
                    target=self._run, name='feature-type-keeper', daemon=True)
                self._thread.start()
            self._news.notify_all()

    def stop(self, timeout: float = 5.0) -> None:
        """End the thread; one step under way is finished first."""
        with self._news:
            self._stopping = True
            self._news.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join(timeout)

    def _next(self) -> features.Catalog | None:
        """Wait for the next catalogue; None to end."""
        with self._news:
            self._news.wait_for(
                lambda: self._stopping or self._wanted is not None)
            catalog, self._wanted = self._wanted, None
            return None if self._stopping else catalog

    def _run(self) -> None:
        delay = self._first_delay
        while (catalog := self._next()) is not None:
            try:
                self.keep(catalog)
                delay = self._first_delay
            # A thread that dies here would leave tags without types and say
            # nothing; whatever failed may succeed once the database is back.
            except Exception as error:
                LOG.warning('Cannot bring the volume types up to date with '
                            'the feature tags, trying again in %g s: %s',
                            delay, error,
                            exc_info=not isinstance(error, db_exc.DBError))
                self._postpone(catalog, delay)
                delay = min(delay * 2, self._max_delay)

    def _postpone(self, catalog: features.Catalog, delay: float) -> None:
        with self._news:
            self._news.wait_for(lambda: self._stopping, delay)
            if self._wanted is None:
                self._wanted = catalog

    def keep(self, catalog: features.Catalog) -> plan_mod.Plan:
        """Bring the types up to date with a catalogue, once.

        :returns: the plan as it was before anything was made
        """
        context = cinder_context.get_admin_context()
        found = plan_mod.plan(catalog.first_level.values(),
                              existing_types(context))
        for wanted in found.create:
            if create_type(context, wanted):
                LOG.info('Made the volume type %s for a tag that backends '
                         'report', wanted.name)
        self._complain(found)
        return found

    def _complain(self, found: plan_mod.Plan) -> None:
        """Report each finding once, and again when it comes back."""
        now = found.complaints()
        for text in now:
            if text not in self._complaints:
                LOG.warning('Feature tags: %s', text)
        self._complaints = set(now)
