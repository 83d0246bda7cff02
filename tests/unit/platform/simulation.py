# SPDX-License-Identifier: Apache-2.0
"""Keepers, agents and an election on a clock that we turn.

What takes time in a keeper (a container that ends, storage that does not
answer) lets the others go on meanwhile.  Agents stand still, servers lose the
storage, deciding threads are busy, all at random; only a keeper's other
thread, which never blocks, always looks.
"""

import random

from cinder_tagged.ha.platform import exceptions
from tests.unit.platform import world

STEP = 0.02
#: s that a kernel takes to end a process, at most
KILL = world.OPTIONS['kill_deadline']
DEADLINE = world.OPTIONS['deadline']


class Podman(world.Podman):
    """Containers that take their time to come and to go."""

    def __init__(self, cloud):
        self._cloud = cloud
        self._there, self._dies_at = False, float('inf')
        super().__init__()

    @property
    def running(self):
        return self._there and self._cloud.now < self._dies_at

    @running.setter
    def running(self, value):
        self._there, self._dies_at = value, float('inf')

    def start(self, environ, cancel):
        super().start(environ, cancel)
        self._cloud.go_on(0.1, cancel.is_set)
        if cancel.is_set():
            raise exceptions.Cancelled('podman was broken off')

    def stop(self, cancel):
        self._cloud.go_on(world.OPTIONS['stop_deadline'], cancel.is_set)
        self.kill()

    def strike(self):
        if not self.running:
            return False
        share = self._cloud.dice.choice((0.0, 0.9, 0.9))
        self._dies_at = min(self._dies_at, self._cloud.now + share * KILL)
        self.ended = True
        return True

    def kill(self):
        self.strike()
        self._cloud.go_on(KILL, lambda: not self.running)
        super().kill()

    remove = kill


class Pool:
    """The pool as one server reaches it, or does not."""

    def __init__(self, pool, cloud):
        self._pool, self._cloud = pool, cloud
        self.cut_until = self.stuck_until = 0.0

    @property
    def away(self):
        """Whether it answers nothing."""
        return self._cloud.now < self.cut_until

    @property
    def stuck(self):
        """Whether it takes no changes of the record."""
        return self.away or self._cloud.now < self.stuck_until

    def __getattr__(self, name):
        def fails():
            return self.stuck if name == 'swap' else self.away

        def call(*args):
            self._cloud.go_on(DEADLINE, lambda: not fails())
            if not fails():
                return getattr(self._pool, name)(*args)
            if name == 'swap':
                # Given up here, it may arrive all the same.
                self._cloud.late.append((self, args))
            raise exceptions.PlatformError('no answer')
        return call


class Wake:
    """Something to wait for that lets the others go on."""

    def __init__(self, cloud):
        self._cloud = cloud

    def wait(self, seconds):
        self._cloud.go_on(seconds, lambda: False)

    def set(self):
        pass

    clear = set


class Server(world.Server):
    """A server with its agent."""

    def __init__(self, name, cloud, directory):
        super().__init__(name, cloud.pool, directory)
        self.cloud = cloud
        self.reach = Pool(cloud.pool, cloud)
        self.podman = self.keeper.hands.podman = Podman(cloud)
        self.keeper.hands.pool = self.reach
        self.keeper._wake = Wake(cloud)
        self.keeper._tell = lambda seen, decision: None
        self.disk.status = {'TYPE': 'ext4'}
        self.authority = self.silent_until = self.busy_until = 0.0
        self._deciding = False

    @property
    def silent(self):
        """Whether its agent stands still."""
        return self.cloud.now < self.silent_until

    def live(self, tick):
        """One step of its threads."""
        self.keeper._watch()
        if tick % 5 == 0 and not self.reach.away:
            self.check()
        if tick % 5 == 1 and not self.silent:
            holds = self.cloud.holder is self
            self.tell(self.cloud.epoch if holds else 0, self.authority)
        if not self._deciding and self.cloud.now >= self.busy_until:
            self._deciding = True
            try:
                self.keeper.turn()
            finally:
                self._deciding = False


class Cloud:
    """Three servers, one volume, one role."""

    def __init__(self, seed, directory):
        self.dice = random.Random(seed)
        self.now, self._tick, self._depth = 1000.0, 0, 0
        self.pool = world.Pool()
        self.late = []
        self.epoch, self.holder = 0, None
        self.calm = False
        self.starts = 0
        #: what was wrong, at which time
        self.wrong = []
        self.servers = []
        for number in (1, 2, 3):
            self.servers.append(Server(f'n{number}', self, directory))

    def clock(self):
        return self.now

    def run(self, seconds):
        """Let time pass."""
        end = self.now + seconds
        while self.now < end and not self.wrong:
            self.step()

    def go_on(self, seconds, ended):
        """Somebody waits; nested so deep, waits are cut short."""
        end = self.now + seconds
        while not ended() and self.now < end and self._depth < 40:
            self.step()

    def step(self):
        """A step of time, in which everybody lives."""
        self._depth += 1
        self.now += STEP
        self._tick += 1
        if not self.calm:
            self._misfortune()
        self._elect()
        self._arrive()
        tick = self._tick
        for server in self.servers:
            server.live(tick)
            self._judge()
        self._depth -= 1

    def _judge(self):
        running = [s.name for s in self.servers if s.podman.running]
        writers = [s.name for s in self.servers if s.writes]
        if len(running) > 1:
            self.wrong.append((self.now, 'containers', running))
        if len(writers) > 1:
            self.wrong.append((self.now, 'writers', writers))

    def _misfortune(self):
        dice, now = self.dice, self.now
        if dice.random() > 0.01:
            return
        server = dice.choice(self.servers)
        if dice.random() < 0.7 and self.holder:
            server = self.holder
        until = now + dice.uniform(0.1, 3.0)
        kind = dice.randrange(6)
        if kind == 0:
            server.silent_until = until
        elif kind == 1:
            server.reach.cut_until = until
        elif kind == 2:
            server.busy_until = until
        elif kind == 3:
            server.reach.stuck_until = until
        elif kind == 4:
            # A machine in trouble has several at once.
            server.silent_until = server.reach.cut_until = until
        elif self.holder:
            self._let_go()

    def _let_go(self):
        """The holder says "released"; its keeper may not hear of it."""
        before = self.holder
        heirs = [s for s in self.servers
                 if s is not before and not s.silent]
        if not heirs or before.silent:
            return
        self._take(self.dice.choice(heirs))
        if self.dice.random() < 0.7:
            before.silent_until = self.now + self.dice.uniform(0.1, 5.0)
            if self.dice.random() < 0.7:
                before.reach.cut_until = before.silent_until

    def _elect(self):
        holder = self.holder
        if holder is not None:
            if not holder.silent:
                holder.authority = self.now + world.HOLD
            if self.now <= holder.authority:
                return
        heirs = [s for s in self.servers if not s.silent]
        if heirs:
            self._take(self.dice.choice(heirs))

    def _take(self, server):
        self.epoch += 1
        self.holder = server
        server.authority = self.now + world.HOLD
        server.tell(self.epoch, server.authority)

    def _arrive(self):
        """What was on its way to a storage that was away."""
        for reach, args in list(self.late):
            if not reach.stuck:
                self.late.remove((reach, args))
                self.pool.swap(*args)
