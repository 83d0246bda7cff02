# SPDX-License-Identifier: Apache-2.0
"""``openstack volume feature sync``"""

import argparse
from collections.abc import Iterable
from typing import Any

from osc_lib.command import command

from cinder_tagged.cli import report
from cinder_tagged.cli import rest
from cinder_tagged.volume_types import plan


class SyncFeature(command.Lister):
    """Make the volume types that tags lack

    The schedulers do this by themselves when "[feature] manage_types" is on.
    Use it where that is off, or after a type was deleted. Types that stand
    are never changed, and none is deleted.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            '--dry-run', action='store_true',
            help='Only tell what would be made')
        return parser

    def take_action(
            self, parsed_args: argparse.Namespace,
    ) -> tuple[tuple[str, ...], Iterable[tuple[Any, ...]]]:
        cloud = rest.Cloud.of(self.app)
        storage = report.read_storage(cloud.pools(), cloud.services())
        found = plan.plan(storage.catalog.first_level.values(),
                          cloud.types())
        for text in found.complaints():
            self.log.warning('%s', text)
        rows = []
        for wanted in found.create:
            if parsed_args.dry_run:
                done = 'would be made'
            else:
                done = ('made' if cloud.create_type(wanted)
                        else 'made by somebody else just now')
            rows.append((wanted.name, wanted.description, done))
        return ('Volume Type', 'Description', 'Result'), rows
