# SPDX-License-Identifier: Apache-2.0
"""What the agent says, and until when it counts."""

from collections.abc import Callable
from collections.abc import Iterable
import dataclasses
import json
import time

from cinder_tagged.ha.platform.core import model as m


@dataclasses.dataclass(frozen=True, slots=True)
class Word:
    """What was said last.

    :param until: end of the agent's authority over the role; its clock and
        ours are the same, CLOCK_MONOTONIC
    :param since: when it began to say so
    """

    master: bool
    epoch: int
    until: float
    since: float


class Told:
    """Master as long as the agent's authority lasts, and a little longer.

    :param deadline: s to go on for after the end of the authority
    """

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline
        self._word = Word(False, 0, float('-inf'), time.monotonic())
        #: whether the agent has gone
        self.gone = False

    def listen(self, source: Iterable[str],
               heard: Callable[[], None]) -> None:
        """Read lines until the agent ends; in a thread of its own."""
        for line in source:
            word = json.loads(line)
            if self.hear(word['master'], word['epoch'], word['until']):
                heard()
        self.end()
        heard()

    def hear(self, master: bool, epoch: int, until: float) -> bool:
        """Take one word; return whether it says something new."""
        if self.gone:
            return False
        now, old = time.monotonic(), self._word
        was, since = self._at(now)
        role = self._role(master, until, now)
        same = role is was and (role is m.Role.SLAVE or epoch == old.epoch)
        # Replaced as a whole: other threads never see half of a word.
        self._word = Word(role is m.Role.MASTER, epoch, until,
                          since if same else now)
        return not same or epoch != old.epoch

    def end(self) -> None:
        """The agent has gone, or is not listened to any more."""
        self.hear(False, self.epoch, float('-inf'))
        self.gone = True

    def _role(self, master: bool, until: float, now: float) -> m.Role:
        return (m.Role.MASTER if master and now < until + self._deadline
                else m.Role.SLAVE)

    def _at(self, now: float) -> tuple[m.Role, float]:
        """What it is, and since when; of one word and at one moment."""
        word = self._word
        role = self._role(word.master, word.until, now)
        if word.master and role is m.Role.SLAVE:
            return role, max(word.since, word.until + self._deadline)
        return role, word.since

    @property
    def epoch(self) -> int:
        """Of the role, as it was said last."""
        return self._word.epoch

    @property
    def role(self) -> m.Role:
        """Master, or slave also for want of a word."""
        return self._at(time.monotonic())[0]

    @property
    def since(self) -> float:
        """When (monotonic, s) it became what it is."""
        return self._at(time.monotonic())[1]

    @property
    def slave_for(self) -> float:
        """Seconds since it was master last; 0 if it is."""
        now = time.monotonic()
        role, since = self._at(now)
        return 0.0 if role is m.Role.MASTER else max(0.0, now - since)
