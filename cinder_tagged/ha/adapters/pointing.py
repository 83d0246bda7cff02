# SPDX-License-Identifier: Apache-2.0
"""Point this node's configuration at the controlling node."""

from collections.abc import Mapping
from collections.abc import Sequence
import os
import shlex
import string

from oslo_log import log as logging

from cinder_tagged import files
from cinder_tagged.ha.adapters import resources

LOG = logging.getLogger(__name__)


def write(path: str, text: bytes, mode: int = 0o644) -> bool:
    """Replace a file in one step; False if it had that text already."""
    try:
        with open(path, 'rb') as source:
            if source.read() == text:
                return False
    except FileNotFoundError:
        pass
    os.makedirs(os.path.dirname(path) or '.', exist_ok=True)
    files.replace(path, text, mode)
    return True


def apply(dropins: Sequence[str], reload: Sequence[str], deadline: float,
          values: Mapping[str, str]) -> list[str]:
    """Write the drop-ins, run the reloads if one changed.

    :returns: what failed, one text each
    """
    changed, failures = False, []
    for pair in dropins:
        template, _, destination = pair.partition('=')
        try:
            with open(template) as source:
                text = string.Template(source.read()).substitute(values)
            changed |= write(destination, text.encode())
        except (OSError, KeyError, ValueError) as exc:
            failures.append(f'{destination}: {exc}')
    if dropins and not changed:
        return failures
    for command in reload:
        try:
            resources.run(shlex.split(command), deadline, {
                f'CINDER_TAGGED_HA_{name.upper()}': value
                for name, value in values.items()})
        except resources.ResourceError as exc:
            failures.append(str(exc))
    return failures
