# SPDX-License-Identifier: Apache-2.0
"""The keeper: looks, decides and acts until the agent has gone.

It is a child of the agent.  Over its standard input the agent says again and
again until when this server is master; silence makes it a slave.  One thread
decides and acts.  Another looks whether the container may still run: it breaks
the steps of the first one off, and kills the container, whatever the first
one is busy with.
"""

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

from cinder_tagged.ha import settings
from cinder_tagged.ha.adapters import probes
from cinder_tagged.ha.platform import exceptions
from cinder_tagged.ha.platform import hands as hand
from cinder_tagged.ha.platform import options
from cinder_tagged.ha.platform import report
from cinder_tagged.ha.platform import sense
from cinder_tagged.ha.platform import told
from cinder_tagged.ha.platform import tools as tool
from cinder_tagged.ha.platform.adapters import pool as pools
from cinder_tagged.ha.platform.adapters import process
from cinder_tagged.ha.platform.core import decide
from cinder_tagged.ha.platform.core import lease
from cinder_tagged.ha.platform.core import model as m
from cinder_tagged.ha.platform.core import pausing
from cinder_tagged.ha.platform.core import record as rec

LOG = logging.getLogger(__name__)

#: Seconds between two turns when there is nothing to do.
TURN = 0.1
#: Seconds between two looks at the image.
IMAGE = 30.0


class Keeper:
    """One platform on this server."""

    def __init__(self, name: str, node: str, section: Any, hold: float,
                 pool: pools.Pool, tools: tool.Tools) -> None:
        own = self.section = section
        self._terms = options.terms(own, hold)
        self.hands = hand.Hands(own, node, pool, tools, self._terms.settle)
        self.told = told.Told(own.agent_deadline)
        self.reporter = report.Reporter(name, node, self.hands)
        self.checker = sense.Checker(
            pool, node, own.period, own.deadline, self.reporter.newest,
            self._watch)
        self._pause = pausing.Pause(own.first_pause, own.longest_pause)
        self._failures, self._pause_until = 0, 0.0
        self._started_at = 0.0
        self._image, self._image_at = m.Image.MISSING, float('-inf')
        self._seen_raw, self._seen_at = '', time.monotonic()
        self._was = m.Role.SLAVE
        self._wake = threading.Event()
        self._problem, self._struck = '', False
        self._health: probes.Watch | None = None

    # -- looking -------------------------------------------------------------

    def _claim(self) -> m.Claim:
        own, hands, last = self.section, self.hands, self.checker.last
        record = last.record
        if hands.mine > (0, 0) and (
                (record.epoch, record.turn) <= hands.mine):
            # Our own swaps are newer than what the last check read.
            record = hands.record
        now = time.monotonic()
        if last.raw != self._seen_raw or self._was is m.Role.SLAVE or (
                not self.checker.sound):
            # Who cannot reach the storage can say nothing there.
            self._seen_raw, self._seen_at = last.raw, now
        # By then the one before has stopped, whatever it says.
        over = now > self.told.since + self._terms.settle
        found = rec.judge(
            record, rec.Owner(hands.instance, self._epoch, hands.mine),
            now - self._seen_at, 0.0 if over else own.handover,
            self._terms.leaving)
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
        """See to it that nothing goes on that may not; never blocks."""
        sound, overtaken = self.checker.sound, self._claim_lost()
        lost = not sound or overtaken
        halt = lost or self.told.role is m.Role.SLAVE
        for event, wanted in ((self.hands.lost, lost),
                              (self.hands.halt, halt)):
            if wanted != event.is_set():
                (event.set if wanted else event.clear)()
                self._wake.set()
        why = lease.forfeited(lease.Standing(
            sound, overtaken, self.told.slave_for, self.hands.announced),
            self._terms)
        struck = bool(why) and self.hands.strike()
        if struck and not self._struck:
            LOG.warning('Killing the container at once: %s', why)
        self._struck = struck

    def _claim_lost(self) -> bool:
        record, hands = self.checker.last.record, self.hands
        return hands.mine > (0, 0) and (
            record.epoch, record.turn) > hands.mine

    # -- acting --------------------------------------------------------------

    def turn(self) -> bool:
        """Look, decide, act once; return whether something was done."""
        epoch = self.told.epoch
        seen = self.observe()
        decision = decide.decide(seen)
        self._tell(seen, decision)
        if seen.claim is m.Claim.LEAVING:
            self.checker.hurry()
        for step in decision.steps:
            if not self._perform(step, epoch):
                if step is m.Step.CUT:
                    # The container ends all the same; the rest waits.
                    self._perform(m.Step.KILL, epoch)
                break
        return bool(decision.steps)

    def _perform(self, step: m.Step, epoch: int) -> bool:
        """Take a step that was decided in an epoch; False if it failed."""
        began = time.monotonic()
        if step in m.UPWARD:
            # We may have stood still since we looked.
            self._watch()
            if self.told.epoch != epoch:
                return False
        self.hands.epoch, self.hands.since = epoch, self.told.since
        self.hands.judged = self.checker.last.raw
        if step is m.Step.REMOVE or (
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
            self._remember()
        LOG.info('%s done in %.2f s', step.value, time.monotonic() - began)
        if step is m.Step.REMOVE:
            self._problem = ('the container ended by itself: '
                             f'{self.hands.last_words}')
        if step is m.Step.START:
            self._started_at = time.monotonic()
            self._problem = ''
        return True

    def _remember(self) -> None:
        """Let the next look see the record that we just wrote."""
        hands, last = self.hands, self.checker.last
        if hands.raw and hands.raw != last.raw and (
                (hands.record.epoch, hands.record.turn)
                >= (last.record.epoch, last.record.turn)):
            self.checker.saw(hands.raw, hands.record, last.began)

    def _fail(self) -> None:
        self._failures += 1
        pause = self._pause.after(self._failures)
        self._pause_until = time.monotonic() + pause
        LOG.warning('Failure %d in a row: pausing for %.1f s',
                    self._failures, pause)

    # -- telling -------------------------------------------------------------

    def _tell(self, seen: m.Observation, decision: m.Decision) -> None:
        if decision.row == 'standing by':
            self._problem = ''
        sound = self.checker.sound
        self.reporter.tell(
            seen, decision, epoch=self.told.epoch, failures=self._failures,
            problem=self._problem if sound else self.checker.error)

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
        self.told.end()
        self._wake.set()

    def _something(self) -> bool:
        hands = self.hands
        return (hands.container() is not m.Container.ABSENT
                or hands.mount() is not m.Mount.NO
                or hands.mapper.mapped)


def make(conf: Any, name: str) -> Keeper:
    """The keeper of a platform, as the options say."""
    own = conf[options.group(name)]
    tools = tool.Tools.of(name, own)
    succeed(tools.directory / 'keeper.json',
            own.stop_deadline + 3 * own.kill_deadline)
    return Keeper(
        name, options.node(conf), own, settings.timing(conf).hold,
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
