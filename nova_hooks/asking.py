# SPDX-License-Identifier: Apache-2.0
"""Which feature a server create asks for, and who asked.

Four places may name one, read in the order of :data:`SOURCES`. The first
three are about this server, so they must agree. The image's property is
about where the image lives: it is a default that any of the others replaces.
"""

from collections.abc import Iterable
from collections.abc import Mapping
import dataclasses
from typing import Any

from cinder_tagged import exceptions
from cinder_tagged import features
from cinder_tagged.placement import request as placement_request
from nova_hooks import errors

HINT = 'hint'
METADATA = 'metadata'
FLAVOR = 'flavor'
IMAGE = 'image'
#: In this order.
SOURCES = (HINT, METADATA, FLAVOR, IMAGE)

#: Key of the scheduler hint, the server's metadata and the image property.
KEY = placement_request.HINT
#: Extra spec of a flavor, the same as that of a volume type.
EXTRA_SPEC = placement_request.EXTRA_SPEC

_NAMES = {
    HINT: f'the scheduler hint "{KEY}"',
    METADATA: f'the server metadata "{KEY}"',
    FLAVOR: f'the flavor extra spec "{EXTRA_SPEC}"',
    IMAGE: f'the image property "{KEY}"',
}


@dataclasses.dataclass(frozen=True, slots=True)
class Ask:
    """One feature, and the place that named it."""

    source: str
    expression: features.Expression

    @property
    def place(self) -> str:
        """The place, as clients know it."""
        return _NAMES[self.source]


def hints_of(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a request's scheduler hints, under either of their names."""
    for key in ('os:scheduler_hints', 'OS-SCH-HNT:scheduler_hints'):
        found = body.get(key)
        if isinstance(found, dict):
            return found
    return {}


def values(body: Mapping[str, Any],
           flavor_specs: Mapping[str, str] | None = None,
           image_properties: Mapping[str, Any] | None = None,
           ) -> dict[str, Any]:
    """Collect what each place says; places that say nothing are left out.

    :param body: the whole request, with the key ``server``
    """
    metadata = body['server'].get('metadata')
    found = {
        HINT: hints_of(body).get(KEY),
        METADATA: metadata.get(KEY) if isinstance(metadata, dict) else None,
        FLAVOR: (flavor_specs or {}).get(EXTRA_SPEC),
        IMAGE: (image_properties or {}).get(KEY),
    }
    return {source: value for source, value in found.items()
            if value is not None}


def decide(found: Mapping[str, Any],
           enabled: Iterable[str] = SOURCES) -> Ask | None:
    """Return the feature to go by, or None if no place names one.

    :param found: what :func:`values` returned
    :param enabled: the places that the operator lets speak
    :raises BadRequest: an expression cannot be read, or two places that
        must agree do not
    """
    allowed = set(enabled)
    asks = [_read(source, found[source]) for source in SOURCES
            if source in found and source in allowed]
    if not asks:
        return None
    first = asks[0]
    for other in asks[1:]:
        if other.source != IMAGE and not features.same_meaning(
                other.expression, first.expression):
            raise errors.BadRequest(
                f'{first.place} asks for "{first.expression}", but '
                f'{other.place} asks for "{other.expression}". Name the '
                'feature in one place only, or the same one in both.')
    return first


def _read(source: str, value: Any) -> Ask:
    try:
        expression = placement_request.requirement(None, {KEY: value})
    except exceptions.ExpressionError as error:
        raise errors.BadRequest(f'{_NAMES[source]}: {error}.') from error
    if expression is None:
        raise errors.BadRequest(
            f'{_NAMES[source]} is an empty list; write a feature such as '
            '"ssd", or leave it out.')
    return Ask(source, expression)
