# SPDX-License-Identifier: Apache-2.0
"""A part is one service, or a few that only make sense together."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence
from concurrent.futures import Future
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import time

from devstack.sandbox.layout import Layout
from devstack.sandbox.process import Service


class Part:
    """Something that can be started once the parts it needs are up.

    :cvar name: unique; what progress messages call it.
    :cvar needs: names of the parts to wait for.
    :cvar databases: names of the databases it wants.
    """

    name = ''
    needs: tuple[str, ...] = ()
    databases: tuple[str, ...] = ()

    def __init__(self, layout: Layout) -> None:
        self.layout = layout

    @property
    def services(self) -> Sequence[Service]:
        """The processes of the part."""
        return ()

    def configure(self) -> None:
        """Write the configuration files."""

    def schema_commands(self) -> list[list[str | Path]]:
        """Return commands, to run in order, that fill the databases."""
        return []

    def catalogue(self) -> dict[str, str]:
        """Return endpoint URLs by service type."""
        return {}

    def start(self) -> None:
        """Start the processes and return when they serve."""


def start_parts(parts: Iterable[Part],
                progress: Callable[[str, float], None]) -> None:
    """Start parts, each as soon as those it needs are up.

    :param progress: called with a part's name and the seconds it took.
    :raises Exception: the first error of a part; parts that need it are
        not started.
    """
    parts = list(parts)
    futures: dict[str, Future[None]] = {}

    def start(part: Part) -> None:
        for name in part.needs:
            if name in futures:
                futures[name].result()
        began = time.monotonic()
        part.start()
        progress(part.name, time.monotonic() - began)

    with ThreadPoolExecutor(len(parts) or 1) as pool:
        for part in _in_order(parts):
            futures[part.name] = pool.submit(start, part)
    for part in _in_order(parts):
        futures[part.name].result()


def _in_order(parts: list[Part]) -> list[Part]:
    """Sort parts so that each comes after those it needs."""
    ordered: list[Part] = []
    waiting = list(parts)
    names = {part.name for part in parts}
    while waiting:
        done = {part.name for part in ordered}
        ready = [part for part in waiting
                 if done.issuperset(names.intersection(part.needs))]
        if not ready:
            raise ValueError('parts need each other in a circle: '
                             + ', '.join(part.name for part in waiting))
        ordered += ready
        waiting = [part for part in waiting if part not in ready]
    return ordered
