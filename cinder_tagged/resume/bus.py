# SPDX-License-Identifier: Apache-2.0
"""Whether the message bus still takes what this process sends.

A service that is cut off from the bus lives on: it beats in the database, and
hangs in the middle of a request as soon as it has to send something. So a
message is sent now and then that nobody receives; only the broker's word that
it took it matters. The sender may hang for as long as it likes: what counts
is how long ago the last word was.
"""

from collections.abc import Callable
import threading
import time

from cinder import context as cinder_context
from cinder import rpc
from oslo_config import cfg
from oslo_log import log as logging
import oslo_messaging

from cinder_tagged.resume.core.health import Seen

CONF = cfg.CONF
LOG = logging.getLogger(__name__)

#: Nobody has a queue for it: the broker confirms the message and drops it.
TOPIC = 'cinder-tagged-probe'
#: So often within the time limit is the bus asked.
_PROBES = 5


class BusWatch:
    """Asks the bus from a thread of its own, once started.

    :param limit: seconds without a word after which the bus is away
    :param clock: seconds since 1970
    """

    def __init__(self, limit: float,
                 clock: Callable[[], float] = time.time):
        self._limit = limit
        self._clock = clock
        self._confirmed_at: float | None = None

    def start(self) -> None:
        """Ask from now on; does nothing without a limit."""
        if self._limit:
            threading.Thread(target=self._loop, daemon=True,
                             name='resume-bus').start()

    def seen(self) -> Seen:
        """Tell since when the bus is away, and when it answered last."""
        last = self._confirmed_at
        if last is None or self._clock() - last <= self._limit:
            return Seen(None, last)
        return Seen(last + self._limit, last)

    def confirmed(self) -> None:
        """Note that the bus has answered just now."""
        self._confirmed_at = self._clock()

    def _loop(self) -> None:
        client = rpc.get_client(oslo_messaging.Target(topic=TOPIC))
        while True:
            try:
                client.cast(cinder_context.get_admin_context(), 'probe')
                self.confirmed()
            except Exception as error:
                LOG.warning('The message bus does not answer: %s', error)
            time.sleep(self._limit / _PROBES)
