# SPDX-License-Identifier: Apache-2.0
"""What to do with one entry of the journal.

Invariants:

* work is done again only if nobody can still be doing it: the entry was never
  claimed, or its owner is fenced;
* an entry is dropped only if its resource shows that the work has ended;
* no entry is tried for ever: after ``max_attempts`` it ends in one error.
"""

import dataclasses
import enum

from cinder_tagged.resume.core import operations


class State(enum.StrEnum):
    """Where the work of an entry stands."""

    CAST = 'cast'              # written, and sent to the first service
    SCHEDULING = 'scheduling'  # a scheduler has it
    SCHEDULED = 'scheduled'    # sent on to a volume service
    RUNNING = 'running'        # a volume service has it


#: States in which some process owns the entry.
OWNED = frozenset((State.SCHEDULING, State.RUNNING))


class Verdict(enum.StrEnum):
    LEAVE = 'leave'
    CLOSE = 'close'
    FINISH = 'finish'
    REDO = 'redo'
    FAIL = 'fail'


@dataclasses.dataclass(frozen=True, slots=True)
class Facts:
    """What is known of an entry when it is looked at.

    :param operation: the kind of request
    :param state: where its work stands
    :param owner_fenced: the owner is known to write no more; None without
        an owner
    :param lost: its message counts as lost, if nobody owns it
    :param attempts: how often it was done again
    :param status: status of the resource now; None if it is gone
    :param image_status: of an upload's Glance image, if it is one
    """

    operation: operations.Operation
    state: State
    owner_fenced: bool | None
    lost: bool
    attempts: int
    status: str | None
    image_status: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Decision:
    verdict: Verdict
    reason: str


def decide(facts: Facts, *, max_attempts: int) -> Decision:
    """Judge one entry."""
    if facts.state in OWNED and not facts.owner_fenced:
        return Decision(Verdict.LEAVE, 'its owner works on it')
    if facts.status is None:
        return Decision(Verdict.CLOSE, 'the resource is gone')
    if facts.status not in facts.operation.in_flight:
        return Decision(Verdict.CLOSE, f'the resource is {facts.status}')
    if facts.state not in OWNED and not facts.lost:
        return Decision(Verdict.LEAVE, 'its message is on the way')
    if facts.image_status == 'active':
        return Decision(Verdict.FINISH, 'the image has all its data')
    if facts.attempts >= max_attempts:
        return Decision(Verdict.FAIL,
                        f'it was begun {facts.attempts + 1} times, and each '
                        'time the service died')
    if facts.image_status not in (None, 'queued'):
        # Glance takes an image's data once; a second upload is refused.
        return Decision(Verdict.FAIL,
                        'the upload was cut off, and the image service does '
                        'not take the data of one image twice')
    why = ('its owner is fenced' if facts.state in OWNED
           else 'nobody claimed its message')
    return Decision(Verdict.REDO, why)


def may_run(claimed: bool, known: bool, status: str | None,
            operation: operations.Operation) -> bool:
    """Tell whether a message that has arrived is to be carried out.

    :param claimed: its entry was claimed just now
    :param known: an entry exists (if not claimed, another has it)
    :param status: of the resource; None if it is gone

    A message without an entry was sent before the journal was switched on,
    or was done already under another claim; the status tells which.
    """
    if claimed or known:
        return claimed
    return status is not None and status in operation.in_flight
