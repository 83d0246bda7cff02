# SPDX-License-Identifier: Apache-2.0
"""The ways of mapping, by the option ``mapper``."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from cinder_tagged.ha.platform.adapters import fuse
from cinder_tagged.ha.platform.adapters import krbd
from cinder_tagged.ha.platform.adapters import mapping
from cinder_tagged.ha.platform.adapters import nbd

MAPPERS: dict[str, Callable[[Any, Path], mapping.Mapper]] = {
    'krbd': krbd.Krbd, 'nbd': nbd.Nbd, 'fuse': fuse.Fuse}
