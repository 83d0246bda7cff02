# SPDX-License-Identifier: Apache-2.0
"""Mapping the volume to a block device: the interface of three ways.

What is mapped is kept in a file, so that a later process can undo it.
"""

import abc
import contextlib
import json
import math
from pathlib import Path
import threading
import time
from typing import Any

from cinder_tagged.ha.platform import exceptions
from cinder_tagged.ha.platform.adapters import command
from cinder_tagged.ha.platform.adapters import process


class Mapper(abc.ABC):
    """Base of the three; ``state`` is what is kept in the file.

    :param directory: of this server, for this platform
    :param deadline: seconds for mapping
    :param kill: seconds for undoing it by force
    """

    #: whether it ends an I/O with an error that an OSD may still carry out
    gives_up = False

    def __init__(self, section: Any, directory: Path) -> None:
        self.conf, self.user = section.ceph_conf, section.ceph_user
        self.pool = section.pool
        self.deadline, self.kill = (section.start_deadline,
                                    section.kill_deadline)
        #: seconds after which the storage counts as lost
        self.patience = math.ceil(section.period + section.deadline)
        self.directory = directory
        self._file = directory / 'mapping.json'
        self.state: dict[str, Any] = {}
        with contextlib.suppress(OSError, ValueError):
            self.state = json.loads(self._file.read_text())

    def _keep(self, **state: Any) -> None:
        self.state = state
        if not state:
            self._file.unlink(missing_ok=True)
            return
        new = self._file.with_suffix('.new')
        new.write_text(json.dumps(state))
        new.replace(self._file)

    @property
    def device(self) -> str:
        """The block device, '' if nothing is mapped."""
        return str(self.state.get('device', ''))

    @property
    def mapped(self) -> bool:
        return bool(self.state)

    def _run(self, *argv: str, deadline: float = 0,
             cancel: threading.Event | None = None) -> str:
        return command.run(argv, deadline or self.deadline, cancel)[1].strip()

    def _rbd(self, *argv: str, cancel: threading.Event | None = None) -> str:
        return self._run('rbd', '-c', self.conf, '--id', self.user, *argv,
                         cancel=cancel)

    @abc.abstractmethod
    def map(self, image: str, cancel: threading.Event) -> None:
        """Map it; nothing is written yet."""

    def address(self) -> str:
        """The client's address if it is known here, else ''."""
        return ''

    @abc.abstractmethod
    def alive(self) -> bool:
        """Whether the client behind the device lives."""

    @abc.abstractmethod
    def cut(self) -> None:
        """End all writes at once."""

    def mounted(self) -> None:  # noqa: B027 - most have nothing to do
        """The device was mounted: have it go when it is unmounted."""

    @abc.abstractmethod
    def unmap(self) -> None:
        """Undo it, in order if possible."""

    def _await_end(self) -> None:
        """Give it a moment to end by itself."""
        end = time.monotonic() + self.kill
        while self.alive() and time.monotonic() < end:
            time.sleep(0.02)


class ProcessMapper(Mapper):
    """A mapper whose client is a process: killing it ends all writes."""

    tool = ''

    @abc.abstractmethod
    def _find(self) -> int:
        """Pid of the process that serves our image, 0 if none."""

    def _who(self) -> tuple[int, str]:
        pid, began = self.state.get('pid', 0), self.state.get('began', '')
        if not pid and self.state:
            pid = self._find()
            began = process.began(pid)
        return pid, began

    def alive(self) -> bool:
        return process.alive(*self._who())

    def cut(self) -> None:
        if not process.kill(*self._who(), self.kill):
            raise exceptions.PlatformError(f'{self.tool} survives SIGKILL')
