# SPDX-License-Identifier: Apache-2.0
"""Microversions: a volume type in a block device mapping needs 2.67.

Most clients ask for less, so the request is lifted to 2.67 on its way in and
the answer is labelled as the client asked. Between 2.1 and 2.67 the answer
to a create is the same; what changed in requests is handled here.
"""

from collections.abc import Mapping
import re
from typing import Any

from nova_hooks import errors

Version = tuple[int, int]

#: The first one that takes a volume type in block_device_mapping_v2.
NEEDED: Version = (2, 67)
#: Up to here a missing description means "the same as the name".
_DESCRIPTION: Version = (2, 19)
#: From here on "networks" must be given.
_NETWORKS: Version = (2, 37)
#: From here on "personality" is refused.
_NO_PERSONALITY: Version = (2, 57)

HEADER = 'OpenStack-API-Version'
LEGACY_HEADER = 'X-OpenStack-Nova-API-Version'


def asked(header: str | None, legacy_header: str | None) -> str:
    """Return the microversion that a request asks for, "2.1" if none.

    :param header: such as ``compute 2.37`` or ``volume 3.60, compute 2.37``
    """
    for part in (header or '').split(','):
        service, _space, version = part.strip().partition(' ')
        if service.lower() == 'compute' and version.strip():
            return version.strip().lower()
    return (legacy_header or '').strip().lower() or '2.1'


def needs_lift(version: str) -> bool:
    """Tell whether a microversion is too old for a volume type.

    False also for what cannot be read: Nova answers that best itself.
    """
    parsed = _parse(version)
    return parsed is not None and (2, 1) <= parsed < NEEDED


def lift(server: Mapping[str, Any], version: str) -> dict[str, Any]:
    """Return a server record that means at 2.67 what it meant before.

    :param version: one for which :func:`needs_lift` is true
    :raises BadRequest: it has no such meaning there
    """
    parsed = _parse(version) or NEEDED
    lifted = dict(server)
    if parsed < _NETWORKS and 'networks' not in server:
        raise errors.BadRequest(
            'A server with a feature needs "networks" in its request below '
            'microversion 2.37: name the networks or ports, or use 2.37 or '
            'higher with "networks": "auto" or "none".')
    if parsed < _NO_PERSONALITY and 'personality' in server:
        raise errors.BadRequest(
            'A server with a feature cannot take "personality": use '
            '"user_data" instead.')
    if parsed < _DESCRIPTION and isinstance(server.get('name'), str):
        lifted['description'] = server['name'].strip()
    return lifted


def _parse(version: str) -> Version | None:
    match = re.fullmatch(r'([0-9]{1,4})\.([0-9]{1,4})', version)
    return (int(match[1]), int(match[2])) if match else None
