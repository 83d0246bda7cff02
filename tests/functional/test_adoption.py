# SPDX-License-Identifier: Apache-2.0
"""From Cinder's own RBD driver to tags and back, with volumes in use.

The stanza is switched on the same pool, as the documentation says. What one
driver made, the other has to use, copy and delete.
"""

import contextlib

import rbd

from tests.functional import cinder_driver
from tests.functional import driver_base

_TAGGED_ONLY = ('feature_tags', *driver_base.DriverCase.QUICK)


class AdoptionTest(driver_base.DriverCase):

    def stock(self):
        """Return the stock driver on the same stanza, less our options."""
        options = cinder_driver.options_of(
            self.cluster, volume_driver=cinder_driver.STOCK)
        for name in _TAGGED_ONLY:
            options.pop(name, None)
        cinder_driver.write_conf(self.directory / 'cinder.conf',
                                 {'east': options})
        driver = cinder_driver.make_driver('east')
        cinder_driver.set_up(driver)
        return driver

    @contextlib.contextmanager
    def image(self, name):
        with self.cluster.ioctx('volumes') as ioctx, rbd.Image(
                ioctx, name) as image:
            yield image

    def write(self, volume, data):
        with self.image(volume.name) as image:
            image.write(data, 0)

    def content(self, volume):
        with self.image(volume.name) as image:
            return image.read(0, 5)

    def family(self, driver, data):
        """Make a volume, a snapshot, a clone of each, as users would."""
        volume = cinder_driver.volume()
        driver.create_volume(volume)
        self.write(volume, data)
        snapshot = cinder_driver.snapshot(volume)
        driver.create_snapshot(snapshot)
        from_snapshot = cinder_driver.volume()
        driver.create_volume_from_snapshot(from_snapshot, snapshot)
        clone = cinder_driver.volume(source_volid=volume.id)
        driver.create_cloned_volume(clone, volume)
        return volume, snapshot, from_snapshot, clone

    def use(self, driver, family, data):
        """Do with a family what users do; all of it has to work."""
        volume, snapshot, from_snapshot, clone = family
        for member in (volume, from_snapshot, clone):
            self.assertEqual(data, self.content(member))
        extended = cinder_driver.volume()
        driver.create_volume_from_snapshot(extended, snapshot)
        driver.extend_volume(extended, 2)
        self.assertEqual(data, self.content(extended))
        with self.image(extended.name) as image:
            self.assertEqual(2 * 2 ** 30, image.size())
        another = cinder_driver.snapshot(from_snapshot)
        driver.create_snapshot(another)
        again = cinder_driver.volume(source_volid=clone.id)
        driver.create_cloned_volume(again, clone)
        self.assertEqual(data, self.content(again))
        info = driver.initialize_connection(volume, {})['data']
        self.assertEqual(f'volumes/{volume.name}', info['name'])
        driver.delete_volume(again)
        driver.delete_snapshot(another)
        driver.delete_volume(extended)

    def remove(self, driver, family):
        volume, snapshot, from_snapshot, clone = family
        driver.delete_volume(from_snapshot)
        driver.delete_volume(clone)
        driver.delete_snapshot(snapshot)
        driver.delete_volume(volume)

    def test_there_and_back(self):
        before = set(self.cluster.images())
        stock = self.stock()
        kept, gone = (self.family(stock, b'stock') for _ in range(2))

        tagged = self.started()
        self.use(tagged, kept, b'stock')
        self.remove(tagged, gone)
        ours = self.family(tagged, b'ours!')
        tagged.close()

        stock = self.stock()
        self.use(stock, kept, b'stock')
        self.use(stock, ours, b'ours!')
        self.remove(stock, ours)
        self.remove(stock, kept)
        # Cinder's RBD driver itself keeps what still has a snapshot of a
        # clone that is gone, under a name that no volume has.
        self.assertEqual(before, {
            name for name in self.cluster.images()
            if not name.endswith('.deleted')})

    def test_servers_keep_their_disks(self):
        # What a hypervisor has open stays open, whoever manages it.
        stock = self.stock()
        volume = cinder_driver.volume()
        stock.create_volume(volume)
        with self.image(volume.name) as disk:
            disk.write(b'first', 0)
            tagged = self.started()
            before = stock.initialize_connection(volume, {})['data']
            after = tagged.initialize_connection(volume, {})['data']
            self.assertEqual(before, after)
            snapshot = cinder_driver.snapshot(volume)
            tagged.create_snapshot(snapshot)
            disk.write(b'later', 0)
            disk.flush()
            copy = cinder_driver.volume()
            tagged.create_volume_from_snapshot(copy, snapshot)
            self.assertEqual(b'first', self.content(copy))
        self.assertEqual(b'later', self.content(volume))
        tagged.delete_volume(copy)
        tagged.delete_snapshot(snapshot)
        tagged.delete_volume(volume)
