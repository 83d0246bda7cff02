# SPDX-License-Identifier: Apache-2.0
"""Carrying steps out on this server, by the adapters."""

import dataclasses
import logging
import secrets
import threading
import time
from typing import Any

from cinder_tagged.ha.platform import exceptions
from cinder_tagged.ha.platform import tools as tool
from cinder_tagged.ha.platform.adapters import pool as pools
from cinder_tagged.ha.platform.core import filesystem
from cinder_tagged.ha.platform.core import model as m
from cinder_tagged.ha.platform.core import record as rec

LOG = logging.getLogger(__name__)


class Hands:
    """What of the platform is on this server, and how to change it.

    Only the keeper's one deciding thread calls the steps.

    :param settle: s that an owner may take to stop after a take-over
    """

    def __init__(self, section: Any, node: str, pool: pools.Pool,
                 tools: tool.Tools, settle: float) -> None:
        self.section, self.node, self.pool = section, node, pool
        self._settle = settle
        self.instance = secrets.token_hex(8)
        self.directory, self.mountpoint = tools.directory, tools.mountpoint
        self.mapper, self.podman = tools.mapper, tools.podman
        self._disk = tools.disk
        #: broken off: the volume was lost / the server is not master
        self.lost, self.halt = threading.Event(), threading.Event()
        #: newest record that was read or written, raw and parsed
        self.raw, self.record = '', rec.Record()
        #: the raw record that the decision was made from
        self.judged = ''
        #: of the role that the agent told, and since when (monotonic, s)
        self.epoch, self.since = 0, float('inf')
        self.mine = (0, 0)
        self.settled_at = 0.0
        self.filesystem = m.FileSystem.UNKNOWN
        self.confirmed = False
        #: our client may have writes in flight: it is fenced before it, or
        #: another one, maps again
        self.void = False
        #: exit status and last lines of a container that ended by itself
        self.last_words = ''
        self._present = self.podman.exists()
        self._image = ''
        self._before: frozenset[str] = frozenset()

    # -- what is seen --------------------------------------------------------

    def container(self) -> m.Container:
        if self.podman.running:
            return m.Container.RUNNING
        return m.Container.ENDED if self._present else m.Container.ABSENT

    def mapping(self) -> m.Mapping:
        if not self.mapper.mapped:
            return m.Mapping.NONE
        if not self.mapper.alive() or not self.mapper.device:
            return m.Mapping.BROKEN
        return m.Mapping.CONFIRMED if self.confirmed else m.Mapping.INERT

    def mount(self) -> m.Mount:
        found: m.Mount = self._disk.state(self.mountpoint)
        return found

    def free(self) -> float:
        """Free share of the volume; 0 if it cannot be asked."""
        try:
            return float(self._disk.free_share(self.mountpoint))
        except OSError:
            return 0.0

    # -- the record ----------------------------------------------------------

    def _swap(self, **changes: Any) -> None:
        """Change our own record; :raises PlatformError: if it is not."""
        new = dataclasses.replace(self.record, **changes)
        if not self.pool.swap(self.raw, new):
            raw, found = self.pool.read()
            # A swap that was given up may have been done all the same.
            if (found.epoch, found.turn, found.instance) != (
                    new.epoch, new.turn, new.instance):
                raise exceptions.PlatformError(
                    'the record of the volume was changed by somebody else')
            if raw != rec.dump(new):
                self.raw, self.record = raw, found
                raise exceptions.PlatformError(
                    'an earlier change of the record came through late')
        self.raw, self.record = rec.dump(new), new

    def volume_name(self) -> str:
        """The RBD image; :raises PlatformError: if none is named."""
        self._image = (self._image or self.section.volume
                       or self.pool.volume())
        if not self._image:
            raise exceptions.PlatformError(
                'no volume is named: set volume, or have Cinder make one '
                'by "cinder-tagged-platform volume"')
        return self._image

    def claim(self) -> None:
        """Take the record over, then fence the owners before."""
        image = self.volume_name()
        raw, old = self.pool.read()
        if raw != self.judged:
            raise exceptions.Cancelled('the record has changed meanwhile')
        self.raw = raw
        try:
            new = rec.claim(old, self.epoch, self.node, self.instance,
                            self._settle)
        except rec.Refused as exc:
            raise exceptions.PlatformError(str(exc)) from exc
        self.record = old
        self._swap(**{f.name: getattr(new, f.name)
                      for f in dataclasses.fields(new)})
        self.mine = (new.epoch, new.turn)
        # Who was master in between without a claim has started nothing.
        if old.instance != self.instance:
            # One that has said that it stops is given the time for it.
            begin = (time.monotonic() if old.stage is rec.Stage.STOPPING
                     else self.since)
            self.settled_at = begin + rec.waits(old, self._settle)
        self.confirmed = False
        self.filesystem = m.FileSystem.UNKNOWN
        LOG.info('Claimed %s in epoch %d, turn %d; before: %s', image,
                 new.epoch, new.turn, raw or 'nobody')
        stale = frozenset(new.fence)
        if old.stage is not rec.Stage.RELEASED:
            stale |= self.pool.watchers(image)
        self.pool.fence(image, stale, self.section.blocklist)
        self._swap(stage=rec.Stage.FENCED, fence=())
        self.void = False

    def confirm(self) -> None:
        """Have the record name our client before anything is written."""
        known = self.mapper.address()
        clients = frozenset({known}) if known else (
            self.pool.watchers(self.volume_name()) - self._before)
        if not clients:
            raise exceptions.PlatformError(
                'the client of the mapped volume is not among its watchers')
        self._swap(stage=rec.Stage.MAPPED, clients=tuple(sorted(clients)))
        self.confirmed = True

    @property
    def announced(self) -> bool:
        """Whether the record says that we are stopping."""
        record = self.record
        return (record.instance == self.instance
                and record.stage is rec.Stage.STOPPING)

    def announce(self) -> None:
        if not self.announced:
            self._swap(stage=rec.Stage.STOPPING)

    def release(self) -> None:
        # All that ran here has stopped, so nobody need wait for it; but what
        # was on its way may still arrive: the next one fences that first.
        doubtful = (self.record.clients
                    if self.void or self.mapper.gives_up else ())
        self._swap(stage=rec.Stage.RELEASED, clients=(),
                   fence=tuple(sorted({*self.record.fence, *doubtful})))
        self.void = False

    # -- the volume ----------------------------------------------------------

    def map(self) -> None:
        image = self.volume_name()
        self.pool.ensure(image, self.section.size,
                         self.record.format is not rec.Format.NONE)
        self._before = self.pool.watchers(image)
        self.confirmed = False
        self.filesystem = m.FileSystem.UNKNOWN
        self.mapper.map(image, self.halt)
        LOG.info('Mapped %s to %s', image, self.mapper.device)

    def probe(self) -> None:
        own = self.section
        found = self._disk.look(self.mapper.device, own.start_deadline,
                                self.halt)
        allocated = True
        if found == {} and self.record.format is rec.Format.NONE:
            allocated = self.pool.allocated(self.volume_name())
        self.filesystem = filesystem.judge(found, allocated,
                                           self.record.format)
        LOG.info('On the volume: %s (blkid %s)', self.filesystem.value, found)

    def format(self) -> None:
        LOG.warning('Formatting %s: no byte of it was ever written',
                    self.volume_name())
        self._swap(format=rec.Format.BEGUN)
        self._disk.make(self.mapper.device, self.section.fsck_deadline,
                        self.halt)
        self._swap(format=rec.Format.DONE)
        self.filesystem = m.FileSystem.UNCHECKED

    def check(self) -> None:
        if self.record.format is not rec.Format.DONE:
            self._swap(format=rec.Format.DONE)
        self.filesystem = self._disk.check(
            self.mapper.device, self.section.fsck,
            self.section.fsck_deadline, self.halt)

    def mount_it(self) -> None:
        try:
            self._disk.mount(self.mapper.device, self.mountpoint,
                             self.section.start_deadline, self.halt)
        except exceptions.ToolError:
            # Whatever it is: look again before the next attempt.
            self.filesystem = m.FileSystem.UNKNOWN
            raise
        self.mapper.mounted()

    def unmount(self) -> None:
        self.filesystem = m.FileSystem.UNKNOWN
        found = self.mount()
        if found is m.Mount.NO:
            return
        # An I/O that was given up may still be on its way to an OSD.
        self.void = self.void or found is m.Mount.READ_ONLY
        try:
            self._disk.unmount(self.mountpoint, self.section.kill_deadline)
        except exceptions.ToolError as exc:
            LOG.error('%s; cutting the volume off and unmounting lazily', exc)
            self.cut()
            self._disk.unmount(self.mountpoint, self.section.kill_deadline,
                               True)

    def cut(self) -> None:
        if self.mapper.mapped:
            self.void = True
            self.mapper.cut()

    def unmap(self) -> None:
        if self.mapper.mapped:
            self.mapper.unmap()
        self.confirmed = False

    # -- the container -------------------------------------------------------

    def start(self) -> None:
        found = self.podman.image()
        if found is not m.Image.RIGHT:
            raise exceptions.PlatformError(f'the image is {found.value}')
        self._present = True
        try:
            self.podman.start({'CINDER_TAGGED_HA_EPOCH': str(self.epoch),
                               'CINDER_TAGGED_HA_NODE': self.node},
                              self.halt)
        except exceptions.PlatformError:
            # Half started: there may be a container, or none.
            self.podman.kill()
            self._present = False
            raise

    def strike(self) -> bool:
        """Have the container end, and wait for nothing; True if it ran.

        For another thread than the deciding one.
        """
        return self.podman.strike()

    def stop(self) -> None:
        # Only who has announced it is given the time by a successor.
        self.podman.stop(self.lost if self.announced else self.halt)
        self._present = False

    def kill(self) -> None:
        if self._present or self.podman.running:
            self.podman.kill()
            self._present = False

    def remove(self) -> None:
        self.last_words = self.podman.exit_words()
        LOG.error('The container ended by itself: %s', self.last_words)
        self.podman.remove()
        self._present = False

    def perform(self, step: m.Step) -> None:
        """Carry one step out; :raises PlatformError: it is not done."""
        name = {m.Step.MOUNT: 'mount_it'}.get(step, step.value)
        getattr(self, name)()
