# SPDX-License-Identifier: Apache-2.0
"""From a server that boots from an image to one that boots from a volume.

``find_root`` says what the request boots from, ``plan`` what disk it needs
under the feature, ``apply`` writes the new request. All three are pure.
"""

from collections.abc import Mapping
import dataclasses
import enum
import math
import re
from typing import Any

from nova_hooks import asking
from nova_hooks import errors

GIB = 1024 ** 3
_BDM = 'block_device_mapping_v2'
_SIZE = re.compile(r'[0-9]{1,9}')
#: What a client may say of its root disk that a volume keeps.
_KEPT = ('device_name', 'device_type', 'disk_bus', 'guest_format', 'tag')


class Boot(enum.Enum):
    """What a server's system disk comes from."""

    IMAGE = 'a local disk made from an image'
    NEW_VOLUME = 'a new volume made from an image'
    OTHER = 'a volume, a snapshot or a blank disk'


@dataclasses.dataclass(frozen=True, slots=True)
class Root:
    """The system disk as the request has it.

    :param image: id of the image, empty for :attr:`Boot.OTHER`
    :param index: its place in block_device_mapping_v2, None if it has none
    """

    boot: Boot
    image: str = ''
    index: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Flavor:
    """What of a flavor matters here.

    :param disk_gb: 0 means "as large as the image needs"
    """

    disk_gb: int
    specs: Mapping[str, str]


@dataclasses.dataclass(frozen=True, slots=True)
class Image:
    """What of an image matters here; sizes in bytes, 0 if not known."""

    id: str
    min_disk_gb: int = 0
    size: int = 0
    virtual_size: int = 0
    properties: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def needs_gb(self) -> int:
        """The smallest disk that holds the image, in GiB; at least 1."""
        return max(self.min_disk_gb, 1,
                   math.ceil(max(self.size, self.virtual_size) / GIB))


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """The system disk as it shall be.

    :param size_gb: 0 where the request itself says the size
    """

    ask: asking.Ask
    root: Root
    size_gb: int


def find_root(server: Mapping[str, Any]) -> Root:
    """Say what a request boots from; OTHER also where it makes no sense.

    Nova's own checks come after this and answer best what is malformed.
    """
    if server.get('block_device_mapping'):  # the first version of the API
        return Root(Boot.OTHER)
    entries = server.get(_BDM) or []
    if not isinstance(entries, list):
        return Root(Boot.OTHER)
    for index, entry in enumerate(entries):
        if isinstance(entry, dict) and str(entry.get('boot_index')) == '0':
            return _root_entry(entry, index)
    image = server.get('imageRef')
    if isinstance(image, str) and image:
        return Root(Boot.IMAGE, id_of(image))
    return Root(Boot.OTHER)


def _root_entry(entry: Mapping[str, Any], index: int) -> Root:
    image = entry.get('uuid')
    if entry.get('source_type') == 'image' and isinstance(image, str):
        # A missing destination means "local" for an image.
        boot = (Boot.NEW_VOLUME
                if entry.get('destination_type') == 'volume' else Boot.IMAGE)
        return Root(boot, image, index)
    return Root(Boot.OTHER, index=index)


def id_of(reference: str) -> str:
    """Return the id in a reference, which may be a whole address."""
    return reference.rstrip('/').rpartition('/')[2]


def plan(server: Mapping[str, Any], root: Root, ask: asking.Ask,
         flavor_disk_gb: int, image: Image) -> Plan:
    """Decide on the system disk.

    :param flavor_disk_gb: 0 means "as large as the image needs"
    :raises BadRequest: the flavor's disk cannot hold the image, or the
        request names a volume type of its own
    """
    if root.boot is Boot.NEW_VOLUME:
        entry = server[_BDM][root.index]
        if entry.get('volume_type'):
            raise errors.BadRequest(
                f'The system disk names the volume type '
                f'"{entry["volume_type"]}", and {ask.place} asks for '
                f'"{ask.expression}". Leave one of them out.')
        return Plan(ask, root, 0)
    if flavor_disk_gb and flavor_disk_gb < image.needs_gb:
        raise errors.BadRequest(
            f"The flavor's disk of {flavor_disk_gb} GiB is too small for "
            f'the image {image.id}, which needs {image.needs_gb} GiB. '
            'Choose a flavor with a larger disk, or with disk 0.')
    return Plan(ask, root, flavor_disk_gb or image.needs_gb)


def apply(server: Mapping[str, Any], decided: Plan,
          volume_type: str) -> dict[str, Any]:
    """Return the server record that boots from a volume of the type.

    :param volume_type: id or name
    """
    # What is no record stays: Nova says what is wrong with it.
    entries = [dict(entry) if isinstance(entry, dict) else entry
               for entry in server.get(_BDM) or []]
    index = decided.root.index
    if decided.root.boot is Boot.NEW_VOLUME and index is not None:
        entries[index]['volume_type'] = volume_type
        return {**server, _BDM: entries}
    disk = {
        'source_type': 'image', 'destination_type': 'volume',
        'boot_index': 0, 'uuid': decided.root.image,
        'volume_size': decided.size_gb, 'volume_type': volume_type,
        # A local disk goes with its server; so does this one.
        'delete_on_termination': True,
    }
    if index is None:
        entries.insert(0, disk)
    else:
        disk.update((key, entries[index][key]) for key in _KEPT
                    if key in entries[index])
        entries[index] = disk
    # Beside a root volume, imageRef would ask for a second root disk.
    return {**{key: value for key, value in server.items()
               if key != 'imageRef'}, _BDM: entries}


def root_size(server: Mapping[str, Any]) -> int:
    """Return the size of a rewritten server's system disk, 0 if unknown."""
    root = find_root(server)
    if root.index is None:
        return 0
    size = server[_BDM][root.index].get('volume_size')
    return int(size) if _SIZE.fullmatch(str(size)) else 0


def count_of(server: Mapping[str, Any]) -> tuple[int, int]:
    """Return how many servers are wanted, at least and at most.

    Malformed counts read as 1: Nova refuses them itself.
    """
    try:
        least = max(1, int(server.get('min_count') or 1))
        return least, max(least, int(server.get('max_count') or least))
    except (TypeError, ValueError, OverflowError):
        return 1, 1
