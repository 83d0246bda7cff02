# SPDX-License-Identifier: Apache-2.0
"""What the stories of the demo share: client, clock, clusters, table."""

from collections.abc import Callable
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
import json
import subprocess
from typing import Any
from typing import Protocol
from typing import TypeVar

from devstack.sandbox.__main__ import Clock
from devstack.sandbox.process import SandboxError
from devstack.sandbox.process import wait_until
from devstack.sandbox.sandbox import Sandbox

_CLIENT_DEADLINE_S = 180
_DEADLINE_S = 300


class Named(Protocol):
    """What has a name."""

    @property
    def name(self) -> str: ...


Wish = TypeVar('Wish', bound=Named)


@dataclass(frozen=True)
class Row:
    """One line of the table at the end.

    :param found: where its RBD image is, by the images on the clusters
    :param parent: the RBD image that it is a clone of, if it is one
    """

    kind: str
    name: str
    asked: str
    status: str
    found: str
    parent: str
    good: bool
    refused: bool = False

    @property
    def cells(self) -> tuple[str, ...]:
        verdict = 'yes, refused' if self.refused else 'yes'
        return (self.kind, self.name, self.asked, self.status, self.found,
                self.parent, verdict if self.good else 'NO')


_TITLES = ('', 'NAME', 'ASKED FOR', 'STATUS', 'RBD IMAGE FOUND ON',
           'CLONE OF', 'AS ASKED')


def print_rows(rows: Sequence[Row]) -> bool:
    """Print the table; return whether everything is as asked."""
    table = [_TITLES, *(row.cells for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table:
        print('  '.join(cell.ljust(width) for cell, width
                        in zip(line, widths, strict=True)).rstrip(),
              flush=True)
    good = sum(row.good for row in rows)
    print(f'{good} of {len(rows)} as asked', flush=True)
    return good == len(rows)


def typed(words: Sequence[str]) -> str:
    """Return words of a command as people would type them."""
    return ' '.join(f"'{word}'" if ' ' in word else word for word in words)


class Stage:
    """A sandbox that runs, and the openstack client on it."""

    def __init__(self, sandbox: Sandbox, clock: Clock) -> None:
        self.sandbox = sandbox
        self.clock = clock
        self.cloud = sandbox.connect()
        self._program = sandbox.layout.program('openstack')
        self._environ = sandbox.environment()

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run an openstack command to its end, whatever its status."""
        return subprocess.run(
            [self._program, *words], env=self._environ, text=True,
            capture_output=True, timeout=_CLIENT_DEADLINE_S, check=False)

    def json(self, *words: str) -> Any:
        """Run an openstack command and return its parsed output.

        :raises SandboxError: the client reported an error.
        """
        done = self.run(*words, '-f', 'json')
        if done.returncode:
            raise SandboxError(
                f'openstack {" ".join(words)}: {done.stderr.strip()}')
        return json.loads(done.stdout)

    def show(self, *words: str) -> None:
        """Run an openstack command and print what it prints."""
        print(f'$ openstack {" ".join(words)}', flush=True)
        done = self.run(*words)
        print((done.stderr + done.stdout).rstrip(), flush=True)

    @staticmethod
    def wait(check: Callable[[], object], what: str) -> None:
        """Wait, within a generous deadline.

        :raises SandboxError: the deadline passed.
        """
        wait_until(check, _DEADLINE_S, what, interval=0.5)

    def make(self, wishes: Sequence[Wish], create: Callable[[Wish], None],
             made: Callable[[Wish], object], what: str) -> None:
        """Create what was wished for, two at once; wait until all is made.

        :raises SandboxError: a wish was not made within the deadline.
        """
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(create, wishes))
        for wish in wishes:
            self.wait(partial(made, wish), f'{what} {wish.name} made')

    def clusters_with(self, image: str) -> set[str]:
        """Return the clusters whose pool holds an RBD image."""
        return {cluster for cluster, names
                in self.sandbox.images().items() if image in names}
