# SPDX-License-Identifier: Apache-2.0
"""What a sandbox is made of: backends with their tags, parts, paths."""

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
import os
from pathlib import Path
import tempfile
from typing import Any

# Parts beside the block storage that can be asked for by --with.
OPTIONAL_PARTS = ('image', 'compute', 'hypervisor')
# What each of them stands on.
_NEEDS = {'compute': {'image'}, 'hypervisor': {'image', 'compute'}}

Conf = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Backend:
    """One Ceph cluster and its stanza in cinder.conf."""

    name: str
    tags: str
    weight: float = 1
    size_gib: int = 64


BACKENDS = (
    Backend('ceph-ssd-a', 'medium:ssd, type:public, purpose:db', 3),
    Backend('ceph-ssd-b', 'medium:ssd, type:private, purpose:test', 1),
    Backend('ceph-hdd', 'medium:hdd, type:public, purpose:prod', 1),
)


def default_state() -> Path:
    """Return the state directory of the sandbox that people start."""
    runtime = os.environ.get('XDG_RUNTIME_DIR') or tempfile.gettempdir()
    return Path(runtime, 'cinder-tagged-sandbox')


def cache_directory() -> Path:
    """Return where database templates are kept between sandboxes."""
    cache = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
    return Path(cache, 'cinder-tagged')


@dataclass(frozen=True)
class Settings:
    """What to start.

    :param state: directory for everything the sandbox writes.
    :param stock: Cinder's own RBD driver, filters and weighers instead
        of this project's, for comparison.
    :param schedulers: how many cinder-scheduler processes.
    :param storage_nodes: how many volume services share the backends; more
        than one makes them an active/active cluster.
    :param eventlet: Cinder's daemons on green threads, as they still run
        unless told otherwise.
    :param journal: requests survive the death of their service.
    :param parts: which of OPTIONAL_PARTS to add.
    :param stats_interval: seconds between two reports of a backend to
        the schedulers.
    :param overlays: sections to lay over a generated configuration, by
        service: cinder, glance or nova.
    """

    state: Path
    stock: bool = False
    schedulers: int = 1
    storage_nodes: int = 1
    eventlet: bool = False
    journal: bool = False
    parts: frozenset[str] = frozenset()
    backends: tuple[Backend, ...] = BACKENDS
    stats_interval: int = 60
    overlays: Mapping[str, Conf] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if unknown := self.parts - set(OPTIONAL_PARTS):
            raise ValueError(
                f'unknown part {", ".join(sorted(unknown))}: choose from '
                f'{", ".join(OPTIONAL_PARTS)}')
        parts = self.parts.union(
            *(_NEEDS.get(part, ()) for part in self.parts))
        object.__setattr__(self, 'parts', parts)
