# SPDX-License-Identifier: Apache-2.0
"""How long a container may run, and how long its successor waits.

The agent's authority over the role bounds both.  It is counted from the last
renewal in etcd, and a successor's agent says "master" only when it has ended
or, if the one before has let go by itself, ``hold`` before it would have.
From the end of its authority on, a container has these times left::

    authority ends   + agent      the keeper takes itself for a slave
                     + handover   "stopping" is in the record, or SIGKILL
                     + kill       it is gone

So a successor that was not told "stopping" starts its own no sooner than
``settle`` after its agent said "master".  The storage's own patience is not
in it: a server that loses the storage stops its container by itself.
"""

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True)
class Terms:
    """Lengths of time (s); every server has the same.

    :param hold: how long an agent's authority lasts after its last renewal
    :param agent: how long a keeper goes on as master after its end
    :param handover: how long a slave may take to have "stopping" recorded
    :param stop: how long a container may take to end when it is asked to
    :param kill: how long it may take to be gone after SIGKILL
    """

    hold: float
    agent: float
    handover: float
    stop: float
    kill: float

    @property
    def settle(self) -> float:
        """From a new master's first word to the end of the one before."""
        return self.hold + self.agent + self.handover + self.kill

    @property
    def leaving(self) -> float:
        """From "stopping" to the end of the one that has said it."""
        return self.handover + self.stop + 2 * self.kill


@dataclasses.dataclass(frozen=True, slots=True)
class Standing:
    """What a keeper knows of its container's right to run.

    :param sound: the last check of the storage still counts
    :param overtaken: the record has a newer owner
    :param slave_for: s for which this server has been slave; 0 as master
    :param announced: "stopping" is in the record
    """

    sound: bool
    overtaken: bool
    slave_for: float
    announced: bool


def forfeited(seen: Standing, terms: Terms) -> str:
    """Why the container must be killed now; '' if it may still run."""
    if not seen.sound:
        return 'the block storage does not answer'
    if seen.overtaken:
        return 'a newer owner has the volume'
    left = terms.handover
    if seen.announced:
        left += terms.stop + terms.kill
    if seen.slave_for > left:
        return f'this server is no master any more for {seen.slave_for:.2f} s'
    return ''
