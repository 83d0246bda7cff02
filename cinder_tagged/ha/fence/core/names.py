# SPDX-License-Identifier: Apache-2.0
"""What device-mapper's names and uuids say about LVM."""

from dataclasses import dataclass
import itertools
import re

LOCK_LV = 'lvmlock'

# Sub-volumes with an identity of their own that LVM hides from users.
_HIDDEN = re.compile(
    r'_(tdata|tmeta|cdata|cmeta|cpool|cvol|corig|wcorig|vdata|vorigin'
    r'|rimage_\d+|rmeta_\d+|mimage_\d+|mlog|pmspare|imeta)$')
_SINGLE_HYPHEN = re.compile(r'(?<!-)-(?!-)')
_UUID = re.compile(r'^LVM-([A-Za-z0-9]{32})([A-Za-z0-9]{32})(?:-(.+))?$')


@dataclass(frozen=True)
class LvIdentity:
    """An LVM volume behind a device-mapper device.

    ``uuid`` carries hyphens as LVM and lvmlockd print it; ``layer`` is
    empty for the device that users open ('tpool', 'real'... otherwise).
    """

    vg: str
    lv: str
    uuid: str
    vg_uuid: str
    layer: str = ''

    @property
    def hidden(self) -> bool:
        return bool(self.layer) or bool(_HIDDEN.search(self.lv))

    @property
    def is_lock(self) -> bool:
        return self.lv == LOCK_LV


def split_name(name: str) -> tuple[str, str, str]:
    """Return (vg, lv, layer) of a device-mapper name; '' where absent.

    LVM joins the parts with one hyphen and doubles every hyphen within.
    """
    # A run of hyphens is made of doubled ones, plus one separator when odd.
    parts: list[str] = ['']
    for piece in re.split(r'(-+)', name):
        if piece.startswith('-'):
            parts[-1] += '-' * (len(piece) // 2)
            if len(piece) % 2:
                parts.append('')
        else:
            parts[-1] += piece
    vg, lv, layer = [*parts, '', ''][:3]
    return vg, lv, layer


def join_name(vg: str, lv: str) -> str:
    """Return the device-mapper name of a volume."""
    return '-'.join(part.replace('-', '--') for part in (vg, lv))


def hyphenate(uuid: str) -> str:
    """Return LVM's printed form of a bare 32-character uuid."""
    cuts = (0, 6, 10, 14, 18, 22, 26, 32)
    return '-'.join(
        uuid[a:b] for a, b in itertools.pairwise(cuts))


def identify(name: str, uuid: str) -> LvIdentity | None:
    """Return the LVM identity of a device, or None for another's."""
    found = _UUID.match(uuid)
    if not found:
        return None
    vg, lv, layer = split_name(name)
    return LvIdentity(
        vg=vg, lv=lv, layer=layer or (found.group(3) or ''),
        vg_uuid=hyphenate(found.group(1)), uuid=hyphenate(found.group(2)))
