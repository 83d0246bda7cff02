# SPDX-License-Identifier: Apache-2.0
"""What the core asks for.  Adapters (and the simulator) carry it out."""

from collections.abc import Mapping
import dataclasses

from cinder_tagged.ha.core import messages
from cinder_tagged.ha.core import record as rec


@dataclasses.dataclass(frozen=True, slots=True)
class Read:
    """Read the role record and certificate, linearizably."""

    role: str


@dataclasses.dataclass(frozen=True, slots=True)
class Write:
    """Compare-and-swap the role record from revision ``expect``."""

    role: str
    kind: str
    record: rec.Record
    expect: int


@dataclasses.dataclass(frozen=True, slots=True)
class Certify:
    """Publish in etcd that every gate up to ``epoch`` is shut."""

    role: str
    epoch: int


@dataclasses.dataclass(frozen=True, slots=True)
class Gate:
    """Have the kernel pass the address until ``until`` (own clock)."""

    role: str
    until: float


@dataclasses.dataclass(frozen=True, slots=True)
class Shut:
    """Have the kernel drop the address now."""

    role: str


@dataclasses.dataclass(frozen=True, slots=True)
class AddAddress:
    """Put the address on the NIC; its gate may still be shut."""

    role: str


@dataclasses.dataclass(frozen=True, slots=True)
class DropAddress:
    """Take the address off the NIC."""

    role: str


@dataclasses.dataclass(frozen=True, slots=True)
class Announce:
    """Send gratuitous ARP or unsolicited neighbour advertisements."""

    role: str


@dataclasses.dataclass(frozen=True, slots=True)
class Probe:
    """Ask on the wire whether somebody else answers for the address."""

    role: str


@dataclasses.dataclass(frozen=True, slots=True)
class Send:
    """Send one message to each of ``to``."""

    to: tuple[str, ...]
    message: messages.Message


@dataclasses.dataclass(frozen=True, slots=True)
class StartServices:
    """Start the role's resources in order."""

    role: str
    epoch: int


@dataclasses.dataclass(frozen=True, slots=True)
class StopServices:
    """Stop the role's resources, last started first.

    :param lapsed: the authority has run out, and nobody else is known to
        have the role: it may come back in a moment
    """

    role: str
    lapsed: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Reconfigure:
    """Point this node's configuration at the controlling node."""

    first: messages.First


@dataclasses.dataclass(frozen=True, slots=True)
class Bury:
    """Have the work of a dead node taken over."""

    role: str
    node: str


@dataclasses.dataclass(frozen=True, slots=True)
class Note:
    """A decision with its evidence, for log, history and notifications."""

    event: str
    role: str
    detail: Mapping[str, object]


Action = (Read | Write | Certify | Gate | Shut | AddAddress | DropAddress
          | Announce | Probe | Send | StartServices | StopServices
          | Reconfigure | Bury | Note)
