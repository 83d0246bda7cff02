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
        self._asked_at: float | None = None
        self._confirmed_at: float | None = None

    def start(self) -> None:
        """Ask from now on; does nothing without a limit."""
        if self._limit:
            threading.Thread(target=self._loop, daemon=True,
                             name='resume-bus').start()

    def seen(self) -> Seen:
        """Tell since when the bus is away, and when it answered last."""
        asked = self._asked_at
        if asked is None or self._clock() - asked <= self._limit:
            return Seen(None, self._confirmed_at)
        return Seen(asked + self._limit, self._confirmed_at)

    def ask(self, send: Callable[[], object]) -> None:
        """Have a message sent, which may hang or fail.

        Time without a question does not count: a process that was stopped
        for a while has not lost the bus.
        """
        if self._asked_at is None:
            self._asked_at = self._clock()
        send()
        self._confirmed_at = self._clock()
        self._asked_at = None

    def _loop(self) -> None:
        client = rpc.get_client(oslo_messaging.Target(topic=TOPIC))
        context = cinder_context.get_admin_context()
        while True:
            try:
                self.ask(lambda: client.cast(context, 'probe'))
            except Exception as error:
                LOG.warning('The message bus does not answer: %s', error)
            time.sleep(self._limit / _PROBES)
