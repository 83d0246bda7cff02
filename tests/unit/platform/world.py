# SPDX-License-Identifier: Apache-2.0
"""Servers with keepers on a pool in memory; time passes in real."""

import dataclasses
from pathlib import Path
import time

from oslo_config import cfg

from cinder_tagged.ha.platform import exceptions
from cinder_tagged.ha.platform import keeper
from cinder_tagged.ha.platform import options
from cinder_tagged.ha.platform import sense
from cinder_tagged.ha.platform import tools
from cinder_tagged.ha.platform.core import model as m
from cinder_tagged.ha.platform.core import record as rec

OPTIONS = dict(image='i', volume='app', state_dir='', handover=0.5,
               period=0.1, deadline=4.0, kill_deadline=0.5, first_pause=0.1,
               longest_pause=0.1, stop_deadline=0.5, agent_deadline=0.5)
#: How long an agent's authority lasts, s.
HOLD = 0.6


class Pool:
    """The pool of all servers: a record, watchers, who is fenced."""

    def __init__(self):
        self.raw, self.fenced, self.watching = '', set(), {}
        self.size, self.failing = 1, False

    def check(self, node, report):
        if self.failing:
            raise exceptions.PlatformError('no answer')
        return self.read()

    def read(self):
        return self.raw, rec.load(self.raw) if self.raw else rec.Record()

    def swap(self, raw, new):
        if self.raw != raw:
            return False
        self.raw = rec.dump(new)
        return True

    def volume(self):
        return ''

    def ensure(self, image, gib, used):
        pass

    def allocated(self, image):
        return False

    def watchers(self, image):
        return frozenset(self.watching)

    def fence(self, image, addresses, seconds):
        self.fenced |= addresses


class Mapper:
    """A client with a new address each time."""

    count = 0

    def __init__(self, pool, node):
        self.pool, self.node, self.mapped, self.lives = pool, node, False, 0
        self.device = '/dev/x'
        self.client = ''
        self.gives_up = False

    def map(self, image, cancel):
        Mapper.count += 1
        self.client = f'{self.node}:0/{Mapper.count}'
        self.pool.watching[self.client] = True
        self.mapped = self.lives = True

    def address(self):
        return ''

    def alive(self):
        return bool(self.lives)

    def cut(self):
        self.lives = False
        self.pool.watching.pop(self.client, None)

    def mounted(self):
        pass

    def unmap(self):
        self.cut()
        self.mapped = False


class Podman:

    def __init__(self):
        self.running = self.ended = False
        self.starts = 0
        self.dies = False
        self.state = m.Image.RIGHT

    def exists(self):
        return self.running or self.ended

    def image(self):
        return self.state

    def start(self, environ, cancel):
        self.starts += 1
        self.running, self.ended = not self.dies, self.dies

    def stop(self, cancel):
        self.kill()

    def strike(self):
        lived = self.running
        self.running, self.ended = False, self.ended or lived
        return lived

    def kill(self):
        self.running = self.ended = False

    remove = kill

    def exit_words(self):
        return 'exit 1'


class Disk:
    """The volume as one server sees it."""

    formats = 0

    def __init__(self, node):
        self.node, self.mounted, self.status = node, m.Mount.NO, {}
        self.checked = m.FileSystem.SOUND

    def state(self, target):
        return self.mounted

    def look(self, device, deadline, cancel):
        return self.status

    def make(self, device, deadline, cancel):
        Disk.formats += 1
        self.status = {'TYPE': 'ext4'}

    def check(self, device, policy, deadline, cancel):
        return self.checked

    def mount(self, device, target, deadline, cancel):
        self.mounted = m.Mount.YES

    def free_share(self, target):
        return 0.5

    def unmount(self, target, deadline, lazily=False):
        self.mounted = m.Mount.NO


class Server:
    """One keeper, driven turn by turn."""

    def __init__(self, name, pool, directory):
        conf = cfg.ConfigOpts()
        options.register(conf, name)
        conf([])
        for option, value in OPTIONS.items():
            conf.set_override(option, value, options.group(name))
        directory = Path(directory, name)
        directory.mkdir()
        self.name, self.pool = name, pool
        self.mapper, self.podman = Mapper(pool, name), Podman()
        self.disk = Disk(name)
        self.keeper = keeper.Keeper(
            'app', name, conf[options.group(name)], HOLD, pool, tools.Tools(
                directory, directory / 'data', self.mapper, self.podman,
                self.disk))
        self.keeper.reporter._say = lambda word: None

    def tell(self, epoch, until=float('inf')):
        """The agent says: master of this epoch, or slave for 0."""
        self.keeper.told.hear(epoch > 0, epoch, until)

    def check(self):
        try:
            raw, record = self.pool.check(self.name, {})
        except exceptions.PlatformError:
            return
        self.keeper.checker.last = sense.Checked(
            time.monotonic(), raw, record)

    def forget(self):
        """The last sound check was long ago."""
        self.keeper.checker.last = dataclasses.replace(
            self.keeper.checker.last, began=float('-inf'))

    def turn(self):
        self.check()
        self.keeper._watch()
        return self.keeper.turn()

    def turns(self, count=12):
        for _ in range(count):
            self.turn()

    def until_running(self, deadline=20.0):
        end = time.monotonic() + deadline
        while not self.podman.running:
            if time.monotonic() > end:
                raise TimeoutError(self.row)
            self.turn()
            time.sleep(0.01)

    @property
    def row(self):
        return self.keeper.reporter.status['row']

    @property
    def writes(self):
        """Whether what is written here lands on the volume."""
        return (self.disk.mounted is m.Mount.YES and self.mapper.lives
                and self.mapper.client not in self.pool.fenced)
