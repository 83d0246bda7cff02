# SPDX-License-Identifier: Apache-2.0
"""What a keeper sees, and what it can do."""

import dataclasses
import enum


class Service(enum.Enum):
    """Block storage, judged by bounded input and output on it."""

    SOUND = 'sound'
    FAULTY = 'faulty'


class Role(enum.Enum):
    """What the agent says, as long as it goes on saying it."""

    MASTER = 'master'
    SLAVE = 'slave'


class Claim(enum.Enum):
    """Whom the record in the pool names as owner of the volume."""

    OURS = 'ours'
    #: nobody: there is no record, or the last owner released it
    FREE = 'free'
    #: an older owner that may still be stopping what it runs
    LEAVING = 'leaving'
    #: an older owner that says nothing any more
    STALE = 'stale'
    #: somebody with a newer epoch
    NEWER = 'newer'


class Elsewhere(enum.Enum):
    """Whether the container may run on another server."""

    NO = 'no'
    MAYBE = 'maybe'


class Container(enum.Enum):
    """The platform's container on this server."""

    ABSENT = 'absent'
    RUNNING = 'running'
    UNHEALTHY = 'unhealthy'
    ENDED = 'ended'


class Mapping(enum.Enum):
    """The volume as a block device of this server."""

    NONE = 'none'
    #: there, nothing may be written: its client is not in the record
    INERT = 'inert'
    #: its client is in the record, so that a successor can fence it
    CONFIRMED = 'confirmed'
    #: the client behind it has gone
    BROKEN = 'broken'


class Mount(enum.Enum):
    """The file system on the data directory of this server."""

    NO = 'no'
    YES = 'yes'
    #: the kernel met an error on it and writes no more
    READ_ONLY = 'read-only'


class FileSystem(enum.Enum):
    """What is known of the file system on the mapped volume."""

    UNKNOWN = 'unknown'
    EMPTY = 'empty'
    UNCHECKED = 'unchecked'
    SOUND = 'sound'
    FOREIGN = 'foreign'
    CORRUPT = 'corrupt'
    UNREADABLE = 'unreadable'


class Image(enum.Enum):
    """The container image on this server, by its digest."""

    RIGHT = 'right'
    MISSING = 'missing'
    WRONG = 'wrong'


class Step(enum.Enum):
    """One thing to do; each has a deadline, and may be repeated."""

    #: take the record over, and fence every client of the owners before
    CLAIM = 'claim'
    MAP = 'map'
    #: write the mapping's client into the record
    CONFIRM = 'confirm'
    PROBE = 'probe'
    FORMAT = 'format'
    CHECK = 'check'
    MOUNT = 'mount'
    START = 'start'
    #: tell a successor that it need not fence yet
    ANNOUNCE = 'announce'
    #: ask the container to end, kill it at its deadline
    STOP = 'stop'
    KILL = 'kill'
    REMOVE = 'remove'
    #: end the device's writes at once, whatever is in flight
    CUT = 'cut'
    UNMOUNT = 'unmount'
    UNMAP = 'unmap'
    #: tell a successor that nothing runs or is mounted here
    RELEASE = 'release'


#: Steps that bring the platform up.  They are broken off when the server
#: loses the volume, and a failure makes them wait.
UPWARD = frozenset({Step.CLAIM, Step.MAP, Step.CONFIRM, Step.PROBE,
                    Step.FORMAT, Step.CHECK, Step.MOUNT, Step.START})


@dataclasses.dataclass(frozen=True, slots=True)
class Observation:
    """All that a decision is made from."""

    service: Service = Service.SOUND
    role: Role = Role.SLAVE
    claim: Claim = Claim.FREE
    elsewhere: Elsewhere = Elsewhere.NO
    container: Container = Container.ABSENT
    mapping: Mapping = Mapping.NONE
    mount: Mount = Mount.NO
    filesystem: FileSystem = FileSystem.UNKNOWN
    image: Image = Image.RIGHT
    #: a failure's pause has not ended yet
    pausing: bool = False

    @property
    def here(self) -> bool:
        """Whether anything of the platform is on this server."""
        return (self.container is not Container.ABSENT
                or self.mapping is not Mapping.NONE
                or self.mount is not Mount.NO)


@dataclasses.dataclass(frozen=True, slots=True)
class Decision:
    """The steps to take now, in order; looked at anew afterwards."""

    row: str
    steps: tuple[Step, ...]
    message: str
