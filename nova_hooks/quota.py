# SPDX-License-Identifier: Apache-2.0
"""Whether a project's volume quota has room for the system disks.

Nova checks quotas of its own before it accepts a server, but not Cinder's:
there a server would be accepted and end in the state ERROR.
"""

from collections.abc import Mapping

from nova_hooks import errors

#: quota name -> limit (-1: none), in_use, reserved
Usage = Mapping[str, Mapping[str, int]]


def fit(usage: Usage, volume_type: str, size_gb: int, least: int,
        most: int) -> int:
    """Return for how many servers there is room, at most ``most``.

    :param volume_type: its name; quotas may be set for one type
    :param size_gb: of one system disk; 0 if not known here
    :raises OverQuota: there is no room for ``least``
    """
    per_volume = _limit(usage, 'per_volume_gigabytes')
    if per_volume is not None and size_gb > per_volume:
        raise errors.OverQuota(
            f'Quota exceeded for per_volume_gigabytes: Requested {size_gb}, '
            f'but a volume may have {per_volume} GiB.')
    room = most
    for name, each in (('volumes', 1), ('gigabytes', size_gb),
                       (f'volumes_{volume_type}', 1),
                       (f'gigabytes_{volume_type}', size_gb)):
        limit = _limit(usage, name)
        if limit is None or not each:
            continue
        used = (usage[name].get('in_use', 0)
                + usage[name].get('reserved', 0))
        if used + each * least > limit:
            raise errors.OverQuota(
                f'Quota exceeded for {name}: Requested {each * least}, but '
                f'already used {used} of {limit} {name}. Delete volumes or '
                'ask for a larger quota.')
        room = min(room, (limit - used) // each)
    return room


def _limit(usage: Usage, name: str) -> int | None:
    limit = usage.get(name, {}).get('limit', -1)
    return None if limit < 0 else limit
