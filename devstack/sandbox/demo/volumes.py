# SPDX-License-Identifier: Apache-2.0
"""Volumes by feature tags, from wish to cluster."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from devstack.sandbox.demo.stage import Row
from devstack.sandbox.demo.stage import Stage
from devstack.sandbox.demo.stage import typed

_EXPRESSION_TYPE = 'fast-db'
_EXPRESSION = 'ssd & db'


@dataclass(frozen=True)
class Wish:
    """A volume that somebody wants.

    :param options: of "openstack volume create".
    :param clusters: where the volume may be; none: it is impossible.
    """

    name: str
    options: tuple[str, ...]
    clusters: frozenset[str]

    @property
    def asked(self) -> str:
        """The request as people would type it."""
        return typed(self.options)


def _wish(name: str, *options: str, on: Sequence[str]) -> Wish:
    return Wish(name, options, frozenset(on))


A, B, HDD = 'ceph-ssd-a', 'ceph-ssd-b', 'ceph-hdd'
WISHES = (
    *(_wish(f'ssd-{n}', '--type', 'ssd', on=(A, B)) for n in range(1, 5)),
    _wish('archive', '--type', 'hdd', on=(HDD,)),
    _wish('public', '--type', 'public', on=(A, HDD)),
    _wish('orders-db', '--type', _EXPRESSION_TYPE, on=(A,)),
    _wish('scratch', '--hint', 'feature=ssd & !db', on=(B,)),
    _wish('impossible', '--hint', 'feature=ssd & prod', on=()),
)


class Volumes:
    """The story of volumes."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.cinder = stage.cloud.block_storage
        self.ids: dict[str, str] = {}

    def tell(self) -> list[Row]:
        """Tell it all; return what became of each volume."""
        self._show_features()
        self._make_type()
        self._create_volumes()
        self.stage.clock.say('why the last one was refused')
        self.stage.show('volume', 'feature', 'explain', '--fit-width',
                        '--volume', WISHES[-1].name)
        return [self._row(wish) for wish in WISHES]

    def _show_features(self) -> None:
        def served() -> bool:
            names = {kind.name for kind in self.cinder.types()}
            return {'ssd', 'hdd', 'public', 'db'} <= names

        self.stage.wait(served, 'volume types made from the tags')
        self.stage.clock.say(
            'volume types have come into being from the tags')
        self.stage.show('volume', 'feature', 'list')

    def _make_type(self) -> None:
        self.stage.clock.say(f'a type of our own with an expression: '
                             f'{_EXPRESSION_TYPE} = {_EXPRESSION}')
        self.stage.json(
            'volume', 'type', 'create', _EXPRESSION_TYPE, '--property',
            f'feature:require={_EXPRESSION}')

    def _create_volumes(self) -> None:
        self.stage.clock.say(f'creating {len(WISHES)} volumes with the '
                             f'openstack client')

        def create(wish: Wish) -> None:
            answer = self.stage.json('volume', 'create', '--size', '1',
                                     *wish.options, wish.name)
            self.ids[wish.name] = answer['id']
            self.stage.clock.say(f'  openstack volume create --size 1 '
                                 f'{wish.asked} {wish.name}')

        self.stage.make(WISHES, create, self._finished, 'volume')

    def _finished(self, wish: Wish) -> bool:
        return self._volume(wish).status in ('available', 'error')

    def _volume(self, wish: Wish) -> Any:
        return self.cinder.get_volume(self.ids[wish.name])

    def _row(self, wish: Wish) -> Row:
        volume = self._volume(wish)
        found = self.stage.clusters_with(f'volume-{volume.id}')
        backend = str(volume.host or '').partition('@')[2].partition('#')[0]
        if wish.clusters:
            good = (volume.status == 'available' and found == {backend}
                    and backend in wish.clusters)
        else:
            good = volume.status == 'error' and not found
        return Row('volume', wish.name, wish.asked, volume.status,
                   ', '.join(sorted(found)) or '-', '-', good,
                   refused=not wish.clusters)
