# SPDX-License-Identifier: Apache-2.0
"""What ``explain`` is asked: the same request the scheduler would get."""

import argparse
from collections.abc import Mapping
import dataclasses

from osc_lib import exceptions

from cinder_tagged import exceptions as our_exceptions
from cinder_tagged import placement
from cinder_tagged.cli import rest

_KNOWN_HINT = 'feature'


@dataclasses.dataclass(frozen=True)
class Asked:
    """A request, and where it comes from.

    :param type_name: None where features were given instead of a type
    :param type_id: for asking Cinder's own filters
    :param others: extra specs that Cinder's own filters judge, as text
    """

    request: placement.Request
    type_name: str | None = None
    type_id: str | None = None
    others: str = ''

    def __str__(self) -> str:
        wanted = (f'features {self.request.require}' if self.request.require
                  else 'no feature')
        named = f', type {self.type_name}' if self.type_name else ''
        return f'{self.request.size_gb:g} GiB{named}, {wanted}'


def size(text: str) -> int:
    """Read ``--size``, for argparse."""
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(
            f'{text!r} is not a size; give whole GiB, 1 or more')
    return int(text)


def hint(text: str) -> str:
    """Read ``--hint``, for argparse.

    :returns: the expression
    """
    key, equals, value = text.partition('=')
    if key != _KNOWN_HINT or not equals or not value:
        raise argparse.ArgumentTypeError(
            f'{text!r} is not a hint that is judged here; write '
            'feature=EXPRESSION, for example feature="!shared"')
    return value


def read(cloud: rest.Cloud, parsed_args: argparse.Namespace,
         volume: rest.Volume | None) -> Asked:
    """Put the request together.

    :raises CommandError: a type that is not there, or an expression that
        cannot be read
    """
    hints = list(parsed_args.hint)
    if parsed_args.require is not None:
        return _asked(parsed_args.size or 1, None, hints,
                      {placement.EXTRA_SPEC: parsed_args.require},
                      '--require')
    if volume is None:
        found = (cloud.find_type(parsed_args.type) if parsed_args.type
                 else cloud.default_type())
        return _asked(parsed_args.size or 1, found, hints,
                      found.extra_specs if found else {},
                      f'type {found.name}' if found else '--hint')
    found = cloud.find_type(volume.type_name) if volume.type_name else None
    specs = dict(found.extra_specs) if found else {}
    recorded = volume.metadata.get(placement.ASKED_METADATA)
    if recorded:
        # It holds type and hint together, as they were when it was asked.
        specs[placement.EXTRA_SPEC] = recorded
    return _asked(parsed_args.size or volume.size_gb, found, hints, specs,
                  f'volume {volume.id}')


def _asked(size_gb: int, found: rest.VolumeType | None, hints: list[str],
           specs: Mapping[str, str], origin: str) -> Asked:
    try:
        require = placement.requirement(specs, {placement.HINT: hints})
    except our_exceptions.ExpressionError as error:
        raise exceptions.CommandError(f'{origin}: {error}') from error
    request = placement.Request(
        size_gb, require, thin=placement.is_thin(specs))
    return Asked(request, found.name if found else None,
                 found.id if found else None, others(specs))


def others(specs: Mapping[str, str]) -> str:
    """Return the extra specs that Cinder's own filters judge, as text."""
    return ', '.join(sorted(f'{key}={value}' for key, value in specs.items()
                            if _judged_by_cinder(key)))


def _judged_by_cinder(key: str) -> bool:
    """Tell whether Cinder's CapabilitiesFilter reads an extra spec."""
    scope, colon, _ = key.partition(':')
    return not colon or scope == 'capabilities'
