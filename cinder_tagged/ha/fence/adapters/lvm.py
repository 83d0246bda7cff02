# SPDX-License-Identifier: Apache-2.0
"""LVM commands that read storage: for the way back only."""

from cinder_tagged.ha.fence import exceptions
from cinder_tagged.ha.fence.adapters import command

_HELD = ('locked by other host', 'lock is held by another host')


def start_locks(vg: str, deadline: float) -> None:
    command.run(['vgchange', '--lock-start', vg], deadline)


def activate(vg: str, lv: str, mode: str, deadline: float) -> None:
    """Take the lock and activate; HeldElsewhere when another node has it.

    ``mode``: 'ex' or 'sh'.
    """
    how = '-asy' if mode == 'sh' else '-aey'
    try:
        command.run(['lvchange', how, f'{vg}/{lv}'], deadline)
    except exceptions.ToolTimeout:
        raise
    except exceptions.ToolFailed as error:
        if any(words in error.said.lower() for words in _HELD):
            raise exceptions.HeldElsewhere(
                f'lvchange {how} {vg}/{lv}', error.code,
                error.said) from error
        raise


def refresh(vg: str, lv: str, deadline: float) -> None:
    """Load the real table; takes no lock, so the caller must hold it."""
    command.run(['lvchange', '--refresh', f'{vg}/{lv}'], deadline)


def config(key: str, deadline: float) -> str:
    """Return a setting in force, such as 'global/use_lvmlockd'."""
    said = command.run(
        ['lvmconfig', '--typeconfig', 'full', key], deadline)
    return said.strip().partition('=')[2].strip('"')
