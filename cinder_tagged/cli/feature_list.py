# SPDX-License-Identifier: Apache-2.0
"""``openstack volume feature list``"""

import argparse
from collections.abc import Iterable
from typing import Any

from osc_lib.command import command

from cinder_tagged.cli import columns
from cinder_tagged.cli import report
from cinder_tagged.cli import rest
from cinder_tagged.volume_types import plan

_HEADERS = ('Tag', 'Kind', 'Volume Type', 'State', 'Asks', 'Backends Up',
            'Backends', 'Capacity GiB', 'Used GiB', 'Provisioned GiB')
_USER_HEADERS = ('Volume Type', 'Description')

Table = tuple[tuple[str, ...], Iterable[tuple[Any, ...]]]


class ListFeature(command.Lister):
    """List feature tags, their volume types and the storage behind them

    States of a tag's volume type: "served"; "down" (served, but no backend
    is up); "missing" (not made yet); "foreign" (somebody else made a type of
    this name; see what it asks for); "unserved" (no backend carries the tag
    any more). Without administrator rights, only the volume types made for
    tags are listed.
    """

    def take_action(self, parsed_args: argparse.Namespace) -> Table:
        cloud = rest.Cloud.of(self.app)
        types = cloud.types()
        try:
            storage = report.read_storage(cloud.pools(), cloud.services())
        except rest.NotAllowed:
            return _for_users(types)
        for silent in storage.silent:
            self.log.warning('%s: %s', silent.backend, silent.reason)
        for conflict in storage.catalog.conflicts():
            self.log.warning('%s', conflict.message)
        return _HEADERS, [
            (row.word, columns.known(row.kind), columns.known(row.type_name),
             row.state, columns.known(row.asks), row.up, row.backends,
             columns.amount(row.capacity_gb), columns.amount(row.used_gb),
             columns.amount(row.provisioned_gb))
            for row in report.tag_rows(storage, types)]


def _for_users(types: Iterable[rest.VolumeType]) -> Table:
    """Show what a user may know: users see no extra specs."""
    return _USER_HEADERS, sorted(
        (found.name, found.description) for found in types
        if found.description.startswith(plan.DESCRIPTION_PREFIX))
