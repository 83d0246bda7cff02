# SPDX-License-Identifier: Apache-2.0
"""Ask Glance which clusters an image is in; never hold a request up for it.

What Glance says is kept for a while, for a bounded number of images. A
request waits only so long for an answer, and only so many questions are
under way at once: whatever goes wrong, the request goes on and prefers no
cluster.
"""

from collections.abc import Callable
from collections.abc import Iterable
from concurrent import futures
import threading
import time
from typing import Any

from cinder.image import glance
from oslo_config import cfg
from oslo_log import log as logging

from cinder_tagged.scheduler import asked
from cinder_tagged.scheduler import options

LOG = logging.getLogger(__name__)
CONF = cfg.CONF
options.register(CONF)

#: Images whose places are kept.
MAX_IMAGES = 1024
#: Seconds for which an answer, or that there was none, is trusted.
KEEP_S = 60.0
FAILED_S = 15.0
#: Questions under way at once.
AT_ONCE = 4

#: Returns the addresses of an image: (context, image id).
Addresses = Callable[[Any, str], Iterable[str]]


def addresses(context: Any, image_id: str) -> list[str]:
    """Return the addresses of an image, as Glance shows them to a user.

    Bounded by Cinder's option ``glance_request_timeout``.
    """
    direct, more = glance.get_default_image_service().get_location(
        context, image_id)
    return [url for url in (direct, *(each['url'] for each in more or ()))
            if url]


def fsids_of(urls: Iterable[str]) -> frozenset[str]:
    """Return the clusters in ``rbd://FSID/POOL/IMAGE/SNAPSHOT``."""
    return frozenset(url.removeprefix('rbd://').partition('/')[0]
                     for url in urls if url.startswith('rbd://'))


class ImageHolders:
    """Knows where images are, for the threads of a scheduler to share."""

    def __init__(self, ask: Addresses = addresses,
                 clock: Callable[[], float] = time.monotonic):
        self._ask = ask
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, frozenset[str]]] = {}
        self._asking: dict[str, futures.Future[frozenset[str]]] = {}
        self._workers: futures.ThreadPoolExecutor | None = None

    def note(self, properties: dict[str, Any]) -> None:
        """Add to a request's filter properties what it prefers.

        Does nothing if no preference is configured, or if the request does
        not make a volume from an image.
        """
        image_id = asked.image_of(properties)
        preference = CONF.feature.image_preference
        if not preference or not image_id:
            return
        found = self.of(properties.get('context'), image_id)
        properties[asked.PREFERENCE] = preference / 100
        # The properties travel over the message bus: no sets.
        properties[asked.HOLDERS] = sorted(found)

    def of(self, context: Any, image_id: str) -> frozenset[str]:
        """Return the fsids of the clusters that an image is in."""
        with self._lock:
            until, found = self._known.get(image_id, (0.0, frozenset()))
            if until > self._clock():
                return found
            asking = self._asking.get(image_id)
            if asking is None and len(self._asking) < AT_ONCE:
                asking = self._begin(context, image_id)
        if asking is None:
            return found
        try:
            return asking.result(CONF.feature.image_lookup_seconds)
        except futures.TimeoutError:
            LOG.info('Glance has not said yet where image %s is; this '
                     'volume goes without it', image_id)
            return found

    def _begin(self, context: Any,
               image_id: str) -> futures.Future[frozenset[str]]:
        if self._workers is None:
            self._workers = futures.ThreadPoolExecutor(
                AT_ONCE, thread_name_prefix='image-holders')
        asking = self._workers.submit(self._look_up, context, image_id)
        self._asking[image_id] = asking
        return asking

    def _look_up(self, context: Any, image_id: str) -> frozenset[str]:
        keep, found = FAILED_S, frozenset[str]()
        try:
            found = fsids_of(self._ask(context, image_id))
            keep = KEEP_S
        except Exception as error:  # a preference is worth no failure
            LOG.warning('Glance does not say where image %s is, so no '
                        'cluster is preferred: %s', image_id, error)
        finally:
            with self._lock:
                self._asking.pop(image_id, None)
                self._known.pop(image_id, None)
                self._known[image_id] = (self._clock() + keep, found)
                if len(self._known) > MAX_IMAGES:
                    del self._known[next(iter(self._known))]
        return found
