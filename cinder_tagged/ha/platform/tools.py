# SPDX-License-Identifier: Apache-2.0
"""The adapters of one platform, together."""

import dataclasses
from pathlib import Path
from typing import Any

from cinder_tagged.ha.platform.adapters import container
from cinder_tagged.ha.platform.adapters import mappers
from cinder_tagged.ha.platform.adapters import mapping
from cinder_tagged.ha.platform.adapters import volume


@dataclasses.dataclass(frozen=True)
class Tools:
    """The adapters of one platform on this server.

    :param directory: for what is kept of them
    :param mountpoint: where the volume is mounted
    """

    directory: Path
    mountpoint: Path
    mapper: mapping.Mapper
    podman: container.Podman
    disk: Any = volume

    @staticmethod
    def of(name: str, section: Any) -> 'Tools':
        """Make them as the options say."""
        directory = Path(section.state_dir, name)
        directory.mkdir(parents=True, exist_ok=True, mode=0o750)
        mountpoint = Path(
            section.mountpoint
            or f'/var/lib/cinder-tagged-platform/{name}/data')
        return Tools(
            directory, mountpoint,
            mappers.MAPPERS[section.mapper](section, directory),
            container.Podman(name, section, directory, mountpoint))
