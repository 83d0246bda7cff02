# SPDX-License-Identifier: Apache-2.0
"""An image and system disks by feature tags; guests boot from them."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
import tempfile
from typing import Any

import rbd

from devstack.sandbox.demo.stage import Row
from devstack.sandbox.demo.stage import Stage
from devstack.sandbox.demo.stage import typed
from devstack.sandbox.guest import ANSWER_OFFSET
from devstack.sandbox.guest import bootable
from devstack.sandbox.guest import GREETING
from glance_store_ext import locations

IMAGE = 'tiny-linux'
_IMAGE_FEATURE = 'hdd'
_SECTOR = 512


@dataclass(frozen=True)
class Wish:
    """A server that somebody wants.

    :param options: of "openstack server create".
    :param clusters: where its system disk may be.
    """

    name: str
    options: tuple[str, ...]
    clusters: frozenset[str]

    @property
    def asked(self) -> str:
        """The request as people would type it."""
        return typed(self.options)


WISHES = (
    Wish('web-1', ('--hint', 'feature=ssd & public'),
         frozenset({'ceph-ssd-a'})),
    Wish('web-2', ('--property', 'feature=db'), frozenset({'ceph-ssd-a'})),
    # Says nothing: the image's own property holds.
    Wish('batch', (), frozenset({'ceph-hdd'})),
)


class Servers:
    """The story of images and servers."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.compute = stage.cloud.compute
        self.ids: dict[str, str] = {}
        self.image_id = ''

    def tell(self) -> list[Row]:
        """Tell it all; return what became of image and servers."""
        self._upload()
        self._create_servers()
        for wish in WISHES:
            self.stage.wait(partial(self._booted, wish),
                            f'guest of {wish.name} booted')
        self.stage.clock.say(
            'every guest has booted; what they print (openstack console '
            'log show NAME)')
        for wish in WISHES:
            print(f'  {wish.name}: {self._greeting(wish)}', flush=True)
        rows = [self._image_row(), *map(self._server_row, WISHES)]
        self._count_copies()
        return rows

    def _upload(self) -> None:
        self.stage.clock.say(
            "making a bootable disk from Debian's cloud kernel and Busybox")
        with tempfile.TemporaryDirectory() as directory:
            file = Path(directory, f'{IMAGE}.raw')
            file.write_bytes(bootable(IMAGE))
            words = ('image', 'create', '--disk-format', 'raw', '--property',
                     f'feature={_IMAGE_FEATURE}', '--file')
            self.stage.clock.say(f'openstack {typed(words)} {file.name} '
                                 f'{IMAGE}')
            self.image_id = self.stage.json(*words, str(file), IMAGE)['id']

    def _create_servers(self) -> None:
        self.stage.clock.say(f'creating {len(WISHES)} servers; nova-compute '
                             'has libvirt boot them, in emulation')

        def create(wish: Wish) -> None:
            words = ('server', 'create', '--image', IMAGE, '--flavor',
                     'guest', '--no-network', *wish.options)
            self.ids[wish.name] = self.stage.json(*words, wish.name)['id']
            self.stage.clock.say(f'  openstack {typed(words)} {wish.name}')

        self.stage.make(WISHES, create, self._built, 'server')

    def _built(self, wish: Wish) -> bool:
        return self._server(wish).status in ('ACTIVE', 'ERROR')

    def _server(self, wish: Wish) -> Any:
        return self.compute.get_server(self.ids[wish.name])

    def _greeting(self, wish: Wish) -> str:
        """Return the line that the guest printed, if it did."""
        if self._server(wish).status != 'ACTIVE':
            return ''
        console = self.compute.get_server_console_output(
            self.ids[wish.name])['output'] or ''
        return next((line.strip() for line in console.splitlines()
                     if line.startswith(GREETING) and IMAGE in line), '')

    def _booted(self, wish: Wish) -> bool:
        return bool(self._greeting(wish)) or (
            self._server(wish).status == 'ERROR')

    # -- where they are, by the clusters -------------------------------------

    def _image_row(self) -> Row:
        record = self.stage.cloud.image.get(
            f'/images/{self.image_id}').json()
        place = locations.read(record['locations'][0]['url'])
        found = self.stage.clusters_with(place.image)
        named = {name for name, cluster
                 in self.stage.sandbox.clusters.items()
                 if cluster.fsid == place.fsid}
        return Row('image', IMAGE, f'--property feature={_IMAGE_FEATURE}',
                   record['status'], ', '.join(sorted(found)), '-',
                   found == named == {'ceph-hdd'})

    def _server_row(self, wish: Wish) -> Row:
        server = self._server(wish)
        disks = [disk.id for disk in server.attached_volumes]
        found = {cluster for disk in disks
                 for cluster in self.stage.clusters_with(f'volume-{disk}')}
        parent, answer = '', ''
        if len(disks) == 1 and len(found) == 1:
            parent, answer = self._look(found, f'volume-{disks[0]}')
        good = (server.status == 'ACTIVE' and found == wish.clusters
                and bool(parent) and answer.endswith(IMAGE))
        return Row('server', wish.name,
                   wish.asked or f'(its image says {_IMAGE_FEATURE})',
                   server.status, ', '.join(sorted(found)) or '-',
                   _short(parent) or '-', good)

    def _look(self, found: set[str], name: str) -> tuple[str, str]:
        """Return a disk's parent, and what its guest wrote on it."""
        cluster, = (self.stage.sandbox.clusters[name] for name in found)
        with cluster.ioctx('volumes') as ioctx, rbd.Image(
                ioctx, name, read_only=True) as disk:
            try:
                parent = disk.parent_info()[1]
            except rbd.ImageNotFound:
                parent = ''
            answer = disk.read(ANSWER_OFFSET, _SECTOR).rstrip(b'\0')
        return parent, answer.decode(errors='replace')

    def _count_copies(self) -> None:
        copies = {
            name: [image for image in images
                   if image == f'seed-{self.image_id}']
            for name, images in self.stage.sandbox.images().items()}
        self.stage.clock.say('copies of the image that were made, by the '
                             'images on the clusters')
        for name, found in copies.items():
            print(f'  {name}: {", ".join(map(_short, found)) or "none"}',
                  flush=True)


def _short(image: str) -> str:
    """Return the name of an RBD image, cut where ids get tiresome."""
    kind, dash, ident = image.partition('-')
    return f'{kind}{dash}{ident[:8]}' if dash else image
