# SPDX-License-Identifier: Apache-2.0
"""What can go wrong with a cluster, told apart where it happens.

::

    CinderTaggedError
    +-- CephError
        +-- ClusterUnreachable   no answer in time; it may come back
        +-- ClusterRefused       an answer, or a local file, that says no
"""

import rados
import rbd

from cinder_tagged import exceptions

#: Errors after which a connection is not worth keeping: it was fenced off
#: (blocklisted, shut down), or a call on it was given up.
LOST = (rados.ConnectionShutdown, rados.TimedOut,
        rbd.ConnectionShutdown, rbd.Timeout)

#: The subset that says the cluster turned the connection away, so that the
#: call had no effect later than the error.
FENCED = (rados.ConnectionShutdown, rbd.ConnectionShutdown)

#: The subset that leaves open whether the call still takes effect.
GAVE_UP = (rados.TimedOut, rbd.Timeout)


class CephError(exceptions.CinderTaggedError):
    """A cluster cannot be used."""


class ClusterUnreachable(CephError):
    """The cluster did not answer within the time allowed."""


class ClusterRefused(CephError):
    """Waiting does not help: file, key, user or pool is wrong.

    :param subject: ``conf``, ``keyring``, ``user`` or ``pool``
    :param value: what was used
    :param remedy: what an operator can do
    """

    def __init__(self, subject: str, value: str, remedy: str):
        self.subject = subject
        self.value = value
        self.remedy = remedy
        super().__init__(f'{subject} {value}: {remedy}')


def is_lost(error: BaseException | None) -> bool:
    """Tell whether a connection that raised this is of no more use."""
    return isinstance(error, LOST)
