# SPDX-License-Identifier: Apache-2.0
"""Who keeps a device open, and libvirt's hand on those that are guests."""

from collections.abc import Iterable
import contextlib
from dataclasses import dataclass
import os
import re

from oslo_log import log as logging

from cinder_tagged.ha.fence import exceptions
from cinder_tagged.ha.fence.adapters import command

LOG = logging.getLogger(__name__)

_GUEST = re.compile(r'guest=([^,\0]+)')


@dataclass(frozen=True)
class Holder:
    """``guest``: the libvirt domain's name, '' for any other process."""

    pid: int
    command: str
    guest: str


def find(paths: Iterable[str], proc: str = '/proc') -> tuple[Holder, ...]:
    """Return the processes that have one of the device nodes open.

    Only links are read: a stat would wait on a dead file system.
    """
    wanted = set(paths)
    found = []
    for pid in (name for name in os.listdir(proc) if name.isdigit()):
        with contextlib.suppress(OSError):
            if wanted.intersection(_open_files(f'{proc}/{pid}/fd')):
                found.append(_holder(proc, pid))
    return tuple(found)


def _open_files(directory: str) -> Iterable[str]:
    for number in os.listdir(directory):
        with contextlib.suppress(OSError):
            yield os.readlink(f'{directory}/{number}')


def _holder(proc: str, pid: str) -> Holder:
    with open(f'{proc}/{pid}/cmdline', errors='replace') as file:
        line = file.read()
    guest = _GUEST.search(line)
    return Holder(int(pid), line.split('\0')[0],
                  guest.group(1) if guest else '')


def settle(holders: Iterable[Holder], policy: str, uri: str,
           deadline: float) -> tuple[str, ...]:
    """Pause or end the guests; return those that libvirt has paused.

    ``policy``: 'keep', 'pause' or 'destroy'.  Best effort by design: the
    volumes answer with errors already, whatever becomes of this.
    """
    paused = []
    verb = {'pause': 'suspend', 'destroy': 'destroy'}.get(policy)
    for holder in holders:
        if not (verb and holder.guest):
            LOG.warning('process %s (%s%s) keeps a cut volume open and '
                        'meets I/O errors', holder.pid, holder.command,
                        f', guest {holder.guest}' if holder.guest else '')
            continue
        try:
            _virsh(uri, verb, holder.guest, deadline)
        except exceptions.ToolFailed as error:
            LOG.error('guest %s: %s', holder.guest, error)
            continue
        LOG.warning('guest %s: %s asked of libvirt', holder.guest, verb)
        if policy == 'pause':
            paused.append(holder.guest)
    return tuple(paused)


def resume(guests: Iterable[str], uri: str, deadline: float,
           ) -> tuple[str, ...]:
    """Resume guests; return those that did not."""
    failed = []
    for guest in guests:
        try:
            _virsh(uri, 'resume', guest, deadline)
        except exceptions.ToolFailed as error:
            LOG.error('guest %s: %s', guest, error)
            failed.append(guest)
    return tuple(failed)


def _virsh(uri: str, verb: str, guest: str, deadline: float) -> None:
    command.run(['virsh', '--connect', uri, verb, guest], deadline)
