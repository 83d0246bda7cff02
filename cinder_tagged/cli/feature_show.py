# SPDX-License-Identifier: Apache-2.0
"""``openstack volume feature show``"""

import argparse
from collections.abc import Iterable
from typing import Any

from osc_lib import exceptions
from osc_lib.command import command

from cinder_tagged import exceptions as our_exceptions
from cinder_tagged import features
from cinder_tagged import placement
from cinder_tagged.cli import columns
from cinder_tagged.cli import report
from cinder_tagged.cli import rest

_HEADERS = ('Backend', 'Cluster', 'Pool', 'FSID', 'State', 'Weight', 'Share',
            'Target', 'Provisioned GiB', 'Room GiB', 'Tags', 'Note')


class ShowFeature(command.Lister):
    """Show the clusters that carry a feature tag

    Share is the part that a cluster holds of all that the clusters of the
    tag hold now, Target the part that its weight factor entitles it to, Room
    what it can still take.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            'tag', metavar='<tag>',
            help='Tag, such as "ssd", or with its kind, "medium:ssd"; an '
                 'expression such as "ssd & db" works too')
        return parser

    def take_action(
            self, parsed_args: argparse.Namespace,
    ) -> tuple[tuple[str, ...], Iterable[tuple[Any, ...]]]:
        try:
            wanted = features.parse_expression(parsed_args.tag)
        except our_exceptions.ExpressionError as error:
            raise exceptions.CommandError(f'<tag>: {error}') from error
        cloud = rest.Cloud.of(self.app)
        storage = report.read_storage(cloud.pools(), cloud.services())
        for silent in storage.silent:
            self.log.warning('%s: %s', silent.backend, silent.reason)
        pools = storage.carrying(wanted)
        if not pools:
            known = ', '.join(storage.catalog.first_level) or 'none'
            raise exceptions.CommandError(
                f'<tag> {parsed_args.tag}: no backend reports it; the tags '
                f'in use are: {known}')
        return _HEADERS, _rows(pools, wanted)


def _rows(pools: list[placement.Pool],
          wanted: features.Expression) -> list[tuple[Any, ...]]:
    by_name = {pool.backend: pool for pool in pools}
    decision = placement.decide(
        placement.Request(0, wanted), pools,
        placement.get_policy('proportional'))
    rows = []
    for verdict in decision.verdicts:
        feature = by_name[verdict.backend].feature
        cluster = feature.cluster if feature else None
        rows.append((
            verdict.backend, verdict.cluster,
            cluster.pool if cluster else '', cluster.fsid if cluster else '',
            'up' if verdict.accepted else 'down', verdict.weight,
            columns.part(verdict.share), columns.part(verdict.target),
            columns.amount(verdict.load_gb),
            columns.amount(verdict.room_gb if verdict.accepted else None),
            columns.Texts(list(verdict.tags)),
            '' if verdict.accepted else '; '.join(verdict.reasons)))
    return rows
