# SPDX-License-Identifier: Apache-2.0
"""``openstack volume feature explain``"""

import argparse
from collections.abc import Iterable
from typing import Any

from osc_lib.command import command

from cinder_tagged import placement
from cinder_tagged.cli import asking
from cinder_tagged.cli import columns
from cinder_tagged.cli import report
from cinder_tagged.cli import rest

#: Exit status for "it cannot be placed"; 1 and 2 are the client's own.
NOT_PLACEABLE = 3

_HEADERS = ('Rank', 'Backend', 'Cluster', 'Matched', 'Weight', 'Share',
            'Target', 'Room GiB', 'Limit', 'Reason')
_LONG = ('FSID', 'Tags')
_USER_HEADERS = ('Volume', 'Asked', 'Explanation')

Table = tuple[tuple[str, ...], Iterable[tuple[Any, ...]]]


class ExplainFeature(command.Lister):
    """Explain where a volume would go, or why a volume found no place

    Judges every backend as the scheduler does, with what the backends
    report now; nothing is made. The exit status is 0 if the volume can be
    placed, 3 if it cannot, 1 on errors. Without administrator rights, only
    --volume works, and shows what the scheduler left with the volume.
    """

    status = 0

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            '--size', metavar='<GiB>', type=asking.size,
            help='Size of the volume (default: 1, or that of --volume)')
        what = parser.add_mutually_exclusive_group()
        what.add_argument(
            '--type', metavar='<volume-type>',
            help='Volume type by name or ID (default: the default type)')
        what.add_argument(
            '--require', metavar='<expression>',
            help='Features asked for, such as "ssd & !shared", instead of a '
                 'volume type')
        what.add_argument(
            '--volume', metavar='<volume>',
            help='Existing volume by name or ID: ask again what it asked, '
                 'with its scheduler hint')
        parser.add_argument(
            '--hint', metavar='feature=<expression>', action='append',
            default=[], type=asking.hint,
            help='Scheduler hint, as for "volume create"; repeat it to add '
                 'conditions')
        parser.add_argument(
            '--policy', choices=sorted(placement.POLICIES),
            default='proportional',
            help='Policy in force, [feature] policy in the schedulers\' '
                 'cinder.conf (default: %(default)s)')
        parser.add_argument(
            '--long', action='store_true',
            help='Show the FSID and the tags of each cluster, too')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Table:
        cloud = rest.Cloud.of(self.app)
        volume = (cloud.volume(parsed_args.volume) if parsed_args.volume
                  else None)
        try:
            answers, services = cloud.pools(), cloud.services()
        except rest.NotAllowed:
            if volume is None:
                raise
            return self._stored(volume)
        storage = report.read_storage(answers, services)
        asked = asking.read(cloud, parsed_args, volume)
        if asked.others:
            storage = report.refuse_others(
                storage, asked.request.require,
                cloud.pools(asked.type_id), asked.others)
        decision = placement.decide(
            asked.request, storage.pools,
            placement.get_policy(parsed_args.policy), storage.schedulers)
        self._tell(asked, volume, decision, storage)
        self.status = 0 if decision.chosen else NOT_PLACEABLE
        width = len(_HEADERS + _LONG if parsed_args.long else _HEADERS)
        return ((_HEADERS + _LONG)[:width],
                [row[:width] for row in _rows(decision, storage)])

    def run(self, parsed_args: argparse.Namespace) -> int:
        return super().run(parsed_args) or self.status

    def _tell(self, asked: asking.Asked, volume: rest.Volume | None,
              decision: placement.Decision, storage: report.Storage) -> None:
        """Say it in words, beside the table and out of a program's way."""
        lines = [f'Asked:  {asked}; policy {decision.policy}, '
                 f'{storage.schedulers} scheduler(s)']
        if volume is not None:
            where = f', on {volume.host}' if volume.host else ''
            lines.append(f'Volume: {volume.id} is {volume.status}{where}')
            if why := volume.metadata.get(placement.WHY_METADATA):
                lines.append(f'Then:   {why}')
        lines.append(f'Now:    {_answer(decision)}')
        self.app.stderr.write('\n'.join(lines) + '\n')

    def _stored(self, volume: rest.Volume) -> Table:
        """Show what the scheduler left with the volume for its owner."""
        why = volume.metadata.get(placement.WHY_METADATA)
        if why is None:
            raise rest.NotAllowed(
                f'--volume {volume.id}: no explanation is stored with it (it '
                f'is {volume.status}); judging again needs administrator '
                'rights')
        self.status = NOT_PLACEABLE
        return _USER_HEADERS, [(
            volume.id, volume.metadata.get(placement.ASKED_METADATA, ''),
            why)]


def _answer(decision: placement.Decision) -> str:
    summary = decision.summary()
    if decision.chosen:
        return f'{summary}: {decision.chosen.backend} comes first'
    return summary


def _rows(decision: placement.Decision,
          storage: report.Storage) -> list[tuple[Any, ...]]:
    pools = {pool.backend: pool for pool in storage.pools}
    rows: list[tuple[Any, ...]] = [
        (columns.known(v.rank), v.backend, v.cluster,
         columns.YesNo(v.matched), v.weight, columns.part(v.share),
         columns.part(v.target),
         columns.amount(v.room_gb if pools[v.backend].up else None),
         columns.known(v.limit), '; '.join(v.reasons),
         pools[v.backend].key[0], columns.Texts(list(v.tags)))
        for v in decision.verdicts]
    none = columns.Missing()
    rows += [
        (none, s.backend, '', none, none, none, none, none, none, s.reason,
         '', columns.Texts([]))
        for s in storage.silent]
    return rows
