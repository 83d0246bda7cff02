# SPDX-License-Identifier: Apache-2.0
"""Carries a plan out: a few moves at once, all of them noted.

Each step is written to the file before it is taken, so that another process
can go on from there, whatever becomes of this one.
"""

from collections.abc import Callable
import logging
import threading
import time
from typing import Protocol

from cinder_tagged.cli import report
from cinder_tagged.moves import cloud as cloud_mod
from cinder_tagged.moves import errors
from cinder_tagged.moves import follow
from cinder_tagged.moves import model
from cinder_tagged.moves import record as record_mod

LOG = logging.getLogger(__name__)

Tell = Callable[[model.Plan, str], None]


class Service(Protocol):
    """What is asked of Cinder."""

    def volume(self, volume_id: str) -> model.Volume | None: ...

    def move(self, volume_id: str, target: str, clustered: bool) -> None: ...


class Runner:
    """Works on one plan.

    :param clustered: names of backends that clusters of services serve,
        without pool
    :param at_once: how many moves may be under way
    :param tell: is called with the plan at each change, and with what
        happened ('' where only time passed)
    :param interval_s: pause between two looks
    :param patience_s: for how long Cinder may be silent
    """

    def __init__(self, record: record_mod.Record, service: Service,
                 clustered: frozenset[str], at_once: int, tell: Tell,
                 interval_s: float = 2.0, patience_s: float = 600.0) -> None:
        self._record = record
        self._service = service
        self._clustered = clustered
        self._at_once = at_once
        self._tell = tell
        self._interval_s = interval_s
        self._patience_s = patience_s
        self._heard = time.monotonic()
        self.pausing = threading.Event()

    def run(self) -> bool:
        """Work until all is done, or until asked to pause.

        :returns: False if moves are left to begin
        :raises MovesError: Cinder was silent for too long; the plan can be
            gone on with
        """
        plan = self._record.plan
        while True:
            try:
                self._follow()
                if not self._halted():
                    self._begin()
                self._heard = time.monotonic()
            except cloud_mod.Unreachable as error:
                self._bear(error)
            if not plan.count(model.State.MOVING) and (
                    self._halted() or not plan.unfinished):
                return not plan.unfinished
            self._tell(plan, '')
            time.sleep(self._interval_s)

    def _halted(self) -> bool:
        return self.pausing.is_set() or self._record.paused

    def _bear(self, error: errors.MovesError) -> None:
        silent = time.monotonic() - self._heard
        if silent > self._patience_s:
            raise errors.MovesError(
                f'{error}; no answer for {silent:.0f} s. What is under way '
                'goes on in Cinder; "moves run" goes on with the rest'
            ) from error
        self._tell(self._record.plan, f'{error}; trying again')

    def _follow(self) -> None:
        for move in self._record.plan.moves:
            if move.state is model.State.MOVING:
                state, why = follow.look(
                    move, self._service.volume(move.volume), time.time())
                if state is not model.State.MOVING:
                    self._note(move, state, why)

    def _begin(self) -> None:
        for move in follow.next_moves(self._record.plan.moves,
                                      self._at_once):
            volume = self._service.volume(move.volume)
            may, why = follow.may_begin(move, volume)
            if not may:
                gone = volume is None or not volume.obstacle
                self._note(move, model.State.GONE if gone
                           else model.State.FAILED, why)
                continue
            move.began, move.asked = time.time(), move.asked + 1
            self._note(move, model.State.MOVING, '')
            try:
                self._service.move(
                    move.volume, move.target,
                    report.service_of(move.target) in self._clustered)
            except cloud_mod.Refused as error:
                self._note(move, model.State.FAILED, str(error))

    def _note(self, move: model.Move, state: model.State, why: str) -> None:
        move.state, move.why = state, why
        if state not in (model.State.MOVING, model.State.PLANNED):
            move.ended = time.time()
        self._record.write()
        LOG.info('volume %s, %d GiB, %s -> %s: %s %s', move.volume,
                 move.size_gb, move.source, move.target, state, why)
        self._tell(self._record.plan, (
            f'{move.name or move.volume} ({move.size_gb} GiB) '
            f'{report.service_of(move.source)} -> '
            f'{report.service_of(move.target)}: {state}'
            f'{f": {why}" if why else ""}'))
