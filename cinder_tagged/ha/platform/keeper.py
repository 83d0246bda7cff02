# SPDX-License-Identifier: Apache-2.0
"""The keeper: looks, decides and acts until the agent has gone.

It is a child of the agent.  Over its standard input the agent says again and
again whether this server is master; silence makes it a slave.  One thread
decides and acts; another breaks its steps off when the volume is lost.
"""

from collections.abc import Callable
import contextlib
import json
import logging
import os
from pathlib import Path
import signal
import sys
import threading
import time
from typing import Any

from cinder_tagged.ha.adapters import probes
from cinder_tagged.ha.platform import exceptions
from cinder_tagged.ha.platform import hands as hand
from cinder_tagged.ha.platform import options
from cinder_tagged.ha.platform import sense
from cinder_tagged.ha.platform.adapters import pool as pools
from cinder_tagged.ha.platform.adapters import process
from cinder_tagged.ha.platform.core import decide
from cinder_tagged.ha.platform.core import model as m
from cinder_tagged.ha.platform.core import pausing
from cinder_tagged.ha.platform.core import record as rec

LOG = logging.getLogger(__name__)

#: Seconds between two turns when there is nothing to do.
TURN = 0.1
#: Seconds between two words to the agent.
SAY = 0.25
#: Seconds between two looks at the image.
IMAGE = 30.0
#: Share of the volume below which it counts as full.
FULL = 0.02


class Told:
    """What the agent says, as long as it says it."""

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline
        self._at, self._master = float('-inf'), False
        self.epoch, self.gone = 0, False

    def listen(self, source: Any, heard: Callable[[], None]) -> None:
        """Read lines until the agent ends; in a thread of its own."""
        for line in source:
            word = json.loads(line)
            if self.hear(word['master'], word['epoch']):
                heard()
        self.gone = True
        heard()

    def hear(self, master: bool, epoch: int) -> bool:
        """Take one word; return whether it says something new."""
        changed = (self._master, self.epoch) != (master, epoch)
        self._master, self.epoch = master, epoch
        self._at = time.monotonic()
        return changed

    @property
    def role(self) -> m.Role:
        fresh = time.monotonic() - self._at < self._deadline
        return (m.Role.MASTER if self._master and fresh and not self.gone
                else m.Role.SLAVE)


class Keeper:
    """One platform on this server."""

    def __init__(self, name: str, node: str, section: Any, pool: pools.Pool,
                 tools: hand.Tools) -> None:
        self.name, self.node = name, node
        own = self.section = section
        self.hands = hand.Hands(own, node, pool, tools)
        self.told = Told(own.agent_deadline)
        self.checker = sense.Checker(pool, self.node, own.period,
                                     own.deadline, self._report, self._watch)
        self._pause = pausing.Pause(own.first_pause, own.longest_pause)
        self._failures, self._pause_until = 0, 0.0
        self._started_at = 0.0
        self._image, self._image_at = m.Image.MISSING, float('-inf')
        self._seen_raw, self._seen_at = '', time.monotonic()
        self._was = m.Role.SLAVE
        self._wake = threading.Event()
        self._status: dict[str, Any] = {}
        self._problem = ''
        self._said, self._said_at = '', float('-inf')
        self._health: probes.Watch | None = None

    # -- looking -------------------------------------------------------------

    def _claim(self) -> m.Claim:
        own, hands, last = self.section, self.hands, self.checker.last
        record = last.record
        if hands.mine > (0, 0) and (
                (record.epoch, record.turn) <= hands.mine):
            # Our own swaps are newer than what the last check read.
            record = hands.record
        if last.raw != self._seen_raw or self._was is m.Role.SLAVE:
            self._seen_raw, self._seen_at = last.raw, time.monotonic()
        leaving = own.stop_deadline + 2 * own.kill_deadline
        found = rec.judge(
            record, rec.Owner(hands.instance, self._epoch, hands.mine),
            time.monotonic() - self._seen_at, own.handover, leaving)
        # A master claims again, to fence its own client; a slave releases.
        return (m.Claim.STALE if found is m.Claim.OURS and hands.void
                and self._epoch else found)

    @property
    def _epoch(self) -> int:
        return self.told.epoch if self.told.role is m.Role.MASTER else 0

    def _container(self) -> m.Container:
        found = self.hands.container()
        if found is not m.Container.RUNNING:
            return found
        age = time.monotonic() - self._started_at
        if (self._health is not None and self._health.fault
                and age > self.section.health_grace):
            self._problem = self._health.fault
            return m.Container.UNHEALTHY
        if age > self.section.longest_pause:
            self._failures = 0
        return found

    def _look_at_image(self) -> m.Image:
        now = time.monotonic()
        wait = IMAGE if self._image is m.Image.RIGHT else 2.0
        if now - self._image_at > wait and (
                self.hands.container() is m.Container.ABSENT):
            self._image_at = now
            try:
                self._image = self.hands.podman.image()
            except exceptions.PlatformError as exc:
                LOG.error('The image cannot be looked at: %s', exc)
        return self._image

    def observe(self) -> m.Observation:
        """Look at everything that a decision needs."""
        role, now = self.told.role, time.monotonic()
        if role is not self._was:
            LOG.info('This server is %s (epoch %d)', role.value,
                     self.told.epoch)
            self._failures, self._pause_until = 0, 0.0
            # What was seen as a slave may be half a minute old.
            self._image_at = float('-inf')
            self.checker.hurry()
        claim = self._claim()
        self._was = role
        return m.Observation(
            service=(m.Service.SOUND if self.checker.sound
                     else m.Service.FAULTY),
            role=role, claim=claim,
            elsewhere=(m.Elsewhere.MAYBE if now < self.hands.settled_at
                       else m.Elsewhere.NO),
            container=self._container(), mapping=self.hands.mapping(),
            mount=self.hands.mount(), filesystem=self.hands.filesystem,
            image=self._look_at_image(), pausing=now < self._pause_until)

    def _watch(self) -> None:
        """Break steps off as soon as they may not go on; never blocks."""
        lost = not self.checker.sound or self._claim_lost()
        halt = lost or self.told.role is m.Role.SLAVE
        for event, wanted in ((self.hands.lost, lost),
                              (self.hands.halt, halt)):
            if wanted != event.is_set():
                (event.set if wanted else event.clear)()
                self._wake.set()

    def _claim_lost(self) -> bool:
        record, hands = self.checker.last.record, self.hands
        return hands.mine > (0, 0) and (
            record.epoch, record.turn) > hands.mine

    # -- acting --------------------------------------------------------------

    def turn(self) -> bool:
        """Look, decide, act once; return whether something was done."""
        seen = self.observe()
        decision = decide.decide(seen)
        self._tell(seen, decision)
        if seen.claim is m.Claim.LEAVING:
            self.checker.hurry()
        for step in decision.steps:
            if not self._perform(step):
                if step is m.Step.CUT:
                    # The container ends all the same; the rest waits.
                    self._perform(m.Step.KILL)
                break
        return bool(decision.steps)

    def _perform(self, step: m.Step) -> bool:
        began = time.monotonic()
        self.hands.epoch = self.told.epoch
        self.hands.judged = self.checker.last.raw
        if step in (m.Step.REMOVE,) or (
                step is m.Step.STOP and self.told.role is m.Role.MASTER):
            self._fail()
        try:
            self.hands.perform(step)
        except exceptions.Cancelled as exc:
            LOG.warning('%s: %s', step.value, exc)
            self.checker.hurry()
            self._wake.wait(0.05)
            return False
        except (exceptions.PlatformError, OSError) as exc:
            LOG.error('%s failed: %s', step.value, exc)
            self._problem = f'{step.value}: {exc}'
            self._fail()
            self.checker.hurry()
            self._image_at = float('-inf')
            if step not in m.UPWARD:
                self._wake.wait(0.5)
            return False
        finally:
            self._remember(began)
        LOG.info('%s done in %.2f s', step.value, time.monotonic() - began)
        if step is m.Step.REMOVE:
            self._problem = ('the container ended by itself: '
                             f'{self.hands.last_words}')
        if step is m.Step.START:
            self._started_at = time.monotonic()
            self._problem = ''
        return True

    def _remember(self, began: float) -> None:
        """Let the next look see the record that we just wrote."""
        hands, last = self.hands, self.checker.last
        if hands.raw and hands.raw != last.raw and (
                (hands.record.epoch, hands.record.turn)
                >= (last.record.epoch, last.record.turn)):
            self.checker.saw(hands.raw, hands.record, max(
                last.began, float('-inf')))

    def _fail(self) -> None:
        self._failures += 1
        pause = self._pause.after(self._failures)
        self._pause_until = time.monotonic() + pause
        LOG.warning('Failure %d in a row: pausing for %.1f s',
                    self._failures, pause)

    # -- telling -------------------------------------------------------------

    def _report(self) -> dict[str, Any]:
        return {**self._status, 'time': round(time.time(), 3)}

    def _tell(self, seen: m.Observation, decision: m.Decision) -> None:
        status: dict[str, Any] = {
            'platform': self.name, 'node': self.node, 'row': decision.row,
            'message': decision.message, 'problem': self._problem,
            'failures': self._failures, 'epoch': self.told.epoch,
            **{field: getattr(seen, field).value for field in (
                'service', 'role', 'claim', 'container', 'mapping', 'mount',
                'filesystem', 'image')}}
        if not self.checker.sound:
            status['problem'] = self.checker.error
        if seen.container is m.Container.RUNNING and (
                seen.mount is m.Mount.YES and self.checker.sound):
            free = self.hands.free()
            status['free'] = round(free, 2)
            if free < FULL:
                status['problem'] = ('the volume is full: extend it, or '
                                     'remove something')
        self._say('up' if seen.here or seen.role is m.Role.MASTER
                  else 'down')
        if status == self._status:
            return
        if decision.row != self._status.get('row'):
            LOG.info('%s: %s', decision.row, decision.message)
        self._status = status
        path = self.hands.directory / 'status.json'
        new = path.with_suffix('.new')
        new.write_text(json.dumps(self._report(), sort_keys=True))
        new.replace(path)

    def _say(self, word: str) -> None:
        now = time.monotonic()
        if word == self._said and now - self._said_at < SAY:
            return
        self._said, self._said_at = word, now
        try:
            print(word, flush=True)
        except OSError:
            # The agent has gone; we go on until all is down.
            sys.stdout = open(os.devnull, 'w')  # noqa: SIM115

    # -- life ----------------------------------------------------------------

    def run(self) -> None:
        """Keep the platform until the agent has gone and all is down."""
        threading.Thread(
            target=self.told.listen, daemon=True, name='agent',
            args=(sys.stdin, self._wake.set)).start()
        signal.signal(signal.SIGTERM, lambda *_: self._end())
        own = self.section
        if own.health:
            probe, target = probes.parse(own.health)
            self._health = probes.Watch(
                'health', probe, target, own.period, own.deadline,
                own.health_fall, lambda: None)
            self._health.start()
        self.checker.start()
        while True:
            try:
                busy = self.turn()
            except Exception:
                # Without us nobody would stop the container.
                LOG.exception('A turn failed')
                busy = False
            if self.told.gone and not busy and not self._something():
                break
            if not busy:
                self._wake.wait(TURN)
                self._wake.clear()
        self.checker.stop()

    def _end(self) -> None:
        self.told.gone = True
        self._wake.set()

    def _something(self) -> bool:
        hands = self.hands
        return (hands.container() is not m.Container.ABSENT
                or hands.mount() is not m.Mount.NO
                or hands.mapper.mapped)


def make(conf: Any, name: str) -> Keeper:
    """The keeper of a platform, as the options say."""
    own = conf[options.group(name)]
    tools = hand.Tools.of(name, own)
    succeed(tools.directory / 'keeper.json',
            own.stop_deadline + 3 * own.kill_deadline)
    return Keeper(
        name, options.node(conf), own,
        pools.Pool(own.ceph_conf, own.ceph_user, own.pool, name,
                   own.deadline), tools)


def succeed(path: Path, deadline: float) -> None:
    """Let the keeper before end its work; kill it at the deadline.

    One whose agent was killed may still be stopping the container.
    """
    with contextlib.suppress(OSError, ValueError, TypeError):
        pid, began = json.loads(path.read_text())
        end = time.monotonic() + deadline
        while process.alive(pid, began) and time.monotonic() < end:
            time.sleep(0.1)
        process.kill(pid, began, deadline)
    path.write_text(json.dumps([os.getpid(), process.began(os.getpid())]))
