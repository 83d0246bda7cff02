# SPDX-License-Identifier: Apache-2.0
"""Records of fenced groups, and one run at a time per group.

They live in /run: a reboot ends a fence, and must end its memory too.
"""

from collections.abc import Iterator
import contextlib
import fcntl
import json
import os
import pathlib
import time

from oslo_log import log as logging

from cinder_tagged.ha.fence import exceptions
from cinder_tagged.ha.fence.core import record as records
from cinder_tagged.ha.fence.core.model import FenceRecord

LOG = logging.getLogger(__name__)


class RecordStore:
    def __init__(self, directory: str) -> None:
        self._directory = pathlib.Path(directory)

    def load(self, vg: str) -> FenceRecord | None:
        """Return the record, None without one; Unreadable when broken."""
        try:
            text = self._file(vg).read_text()
        except FileNotFoundError:
            return None
        try:
            return records.load(json.loads(text))
        except (ValueError, KeyError, TypeError) as error:
            raise exceptions.Unreadable(
                f'{self._file(vg)}: {error}') from error

    def save(self, record: FenceRecord) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        fresh = self._file(record.vg).with_suffix('.new')
        fresh.write_text(json.dumps(records.dump(record), indent=1))
        os.replace(fresh, self._file(record.vg))

    def clear(self, vg: str) -> None:
        self._file(vg).unlink(missing_ok=True)

    def groups(self) -> tuple[str, ...]:
        return tuple(sorted(
            path.stem for path in self._directory.glob('*.json')))

    @contextlib.contextmanager
    def locked(self, vg: str, deadline: float) -> Iterator[None]:
        """Hold the group; Busy when another run keeps it that long."""
        self._directory.mkdir(parents=True, exist_ok=True)
        with open(self._directory / f'{vg}.lock', 'w') as file:
            end = time.monotonic() + deadline
            while not _try_lock(file.fileno()):
                if time.monotonic() >= end:
                    raise exceptions.Busy(
                        f'another run works on {vg} since more than '
                        f'{deadline:.0f} s')
                time.sleep(0.1)
            yield

    def _file(self, vg: str) -> pathlib.Path:
        return self._directory / f'{vg}.json'


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
