# SPDX-License-Identifier: Apache-2.0
"""What a worker process is told to do, and what it answers."""

import dataclasses
import enum
import json
from typing import Any

from cinder_tagged.ceph.connection import Identity
from cinder_tagged.ceph.connection import Timeouts
from cinder_tagged.copy.pump import Flow

MiB = 1 << 20


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """A pool of a cluster, and whom to be there."""

    identity: Identity
    pool: str


@dataclasses.dataclass(frozen=True, slots=True)
class RbdImage:
    """An image to read.

    :param snapshot: None reads the image itself; it must not change
    """

    place: Place
    image: str
    snapshot: str | None = None


class Format(enum.StrEnum):
    """What the bytes of the original are."""

    RAW = 'raw'
    QCOW2 = 'qcow2'


@dataclasses.dataclass(frozen=True, slots=True)
class Job:
    """One copy to make.

    :param target: name of the RBD image to make
    :param origin: see :class:`cinder_tagged.copy.core.record.Record`
    :param source: None if the bytes come through standard input
    :param size: bytes that come through standard input
    :param snapshot: to be made on the finished copy; '' for none
    :param order: binary logarithm of the target's object size
    :param features: RBD features of the target; None for the cluster's
        default
    :param lease_s: seconds after which the lease of a dead copier lapses
    :param limit: virtual size in bytes that must not be exceeded, 0: any
    :param room: bytes that the copy may store; None: any number
    :param settings: metadata of the image to make
    :param replace: whether an image under the target's name that no record
        tells of may be removed
    """

    target: str
    place: Place
    origin: str
    digest: str = ''
    source: RbdImage | None = None
    size: int = 0
    format: Format = Format.RAW
    snapshot: str = ''
    order: int = 22
    features: int | None = None
    lease_s: int = 15
    limit: int = 0
    room: int | None = None
    replace: bool = False
    settings: tuple[tuple[str, str], ...] = ()
    flow: Flow = dataclasses.field(default_factory=Flow)

    def dump(self) -> str:
        """Return one line."""
        return json.dumps({'task': 'copy', **dataclasses.asdict(self)})


@dataclasses.dataclass(frozen=True, slots=True)
class Chore:
    """Tidying up a pool.

    :param gone: Glance images that exist no more
    :param drop: copies of volumes that were not taken into use
    :param idle_s: seeds that nobody cloned for so long go; 0: none
    :param limit: bytes that seeds may take together; None: any number
    :param keep: a target that does not go for the sake of the limit
    :param grace_s: for which the records of moved volumes are kept
    """

    place: Place
    gone: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    idle_s: float = 0
    limit: int | None = None
    keep: str = ''
    lease_s: int = 15
    grace_s: float = 86400.0

    def dump(self) -> str:
        """Return one line."""
        return json.dumps({'task': 'sweep', **dataclasses.asdict(self)})


Task = Job | Chore


def load(line: str) -> Task:
    """Read what a task's ``dump()`` wrote.

    :raises ValueError: it is no such line
    """
    try:
        values = json.loads(line)
        task = values.pop('task')
        values['place'] = _place(values['place'])
        if task == 'sweep':
            values['gone'] = tuple(values['gone'])
            values['drop'] = tuple(values['drop'])
            return Chore(**values)
        source = values['source']
        if source is not None:
            source['place'] = _place(source['place'])
            values['source'] = RbdImage(**source)
        values['format'] = Format(values['format'])
        values['settings'] = tuple(map(tuple, values['settings']))
        values['flow'] = Flow(**values['flow'])
        return Job(**values)
    except (KeyError, TypeError) as exc:
        raise ValueError(f'no task: {exc}') from exc


def _place(values: dict[str, Any]) -> Place:
    identity = dict(values['identity'])
    identity['timeouts'] = Timeouts(**identity['timeouts'])
    return Place(Identity(**identity), values['pool'])


class Answer(enum.StrEnum):
    """Kinds of lines that a worker writes."""

    PROGRESS = 'progress'
    LOG = 'log'
    DONE = 'done'
    FAILED = 'failed'


@dataclasses.dataclass(frozen=True, slots=True)
class Line:
    """One line of a worker's output.

    :param text: of a report, a log message or an error
    :param kind_of: of an error: its class; of a log message: its level
    :param numbers: bytes done, total and written of a report
    """

    answer: Answer
    text: str = ''
    kind_of: str = ''
    numbers: tuple[int, ...] = ()

    def dump(self) -> str:
        """Return one line."""
        return json.dumps(dataclasses.asdict(self))


def load_line(line: str) -> Line:
    """Read what :meth:`Line.dump` wrote.

    :raises ValueError: it is no such line
    """
    try:
        values = json.loads(line)
        values['answer'] = Answer(values['answer'])
        values['numbers'] = tuple(values['numbers'])
        return Line(**values)
    except (KeyError, TypeError) as exc:
        raise ValueError(f'no answer: {exc}') from exc


@dataclasses.dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep did, as names of targets.

    :param orphans: removed, left by dead copiers
    :param removed: seeds removed because nobody wants them
    :param kept: seeds that would have gone but for their clones
    :param forgotten: volumes whose record of a move went
    :param trash: images removed for good from the RBD trash
    """

    orphans: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    forgotten: tuple[str, ...] = ()
    trash: int = 0

    def dump(self) -> str:
        """Return one line."""
        return json.dumps(dataclasses.asdict(self))


def load_swept(line: str) -> Swept:
    """Read what :meth:`Swept.dump` wrote."""
    values: dict[str, Any] = json.loads(line)
    return Swept(trash=values.pop('trash'),
                 **{key: tuple(names) for key, names in values.items()})
