# SPDX-License-Identifier: Apache-2.0
"""The documented Ceph capabilities: enough for the work, and no more."""

from pathlib import Path
import shlex

from oslo_config import cfg
import rados
import rbd

from cinder_tagged.ha.adapters import probes
from devstack.sandbox.ceph import CephCluster
from tests.functional import cinder_driver
from tests.functional import driver_base

CAPABILITIES = Path(__file__).parents[2] / 'etc/ceph/capabilities.txt'
POOLS = ('volumes', 'images', 'vms')
SIZE = 4 * 2 ** 20
SECRET = b'of the tenant' * 100
#: How a cluster says no.
REFUSED = (rados.PermissionError, rados.PermissionDeniedError,
           rbd.PermissionError)


class CapabilitiesTest(driver_base.DriverCase):

    @classmethod
    def setUpClass(cls):
        # A cluster with a third pool, and the users of the documentation.
        super(driver_base.DriverCase, cls).setUpClass()
        cls.cluster = CephCluster(name='east', pools=POOLS)
        cls.addClassCleanup(cls.cluster.stop)
        cls.cluster.start()
        for line in CAPABILITIES.read_text().splitlines():
            cls._user(*shlex.split(line))
        for pool in POOLS:
            with cls.cluster.ioctx(pool) as ioctx:
                rbd.RBD().create(ioctx, 'theirs', SIZE, old_format=False)
                with rbd.Image(ioctx, 'theirs') as image:
                    image.write(SECRET, 0)
                    image.create_snap('s')
                    image.protect_snap('s')

    @classmethod
    def _user(cls, entity, *caps):
        with cls.cluster.connect() as admin:
            known = {u['entity'] for u in cls.cluster.command(
                admin, 'auth ls')['auth_dump']}
            if entity in known:
                cls.cluster.command(admin, 'auth caps', entity=entity,
                                    caps=list(caps))
                return
            made = cls.cluster.command(admin, 'auth get-or-create',
                                       entity=entity, caps=list(caps))[0]
        keyring = cls.cluster.directory / f'{entity}.keyring'
        keyring.touch(mode=0o600)
        keyring.write_text(f'[{entity}]\nkey = {made["key"]}\n')
        conf = cls.cluster.conf
        conf.write_text(f'{conf.read_text()}\n[{entity}]\n'
                        f'keyring = {keyring}\n')

    def refused(self, call, *arguments, **named):
        self.assertRaises(REFUSED, call, *arguments, **named)

    def commands_refused(self, user):
        """No user may make users or pools, or see keys."""
        with self.cluster.connect(user) as client:
            for command in ('{"prefix": "auth ls"}',
                            '{"prefix": "auth get-or-create", '
                            '"entity": "client.evil", "caps": '
                            '["mon", "allow *"]}',
                            '{"prefix": "osd pool create", '
                            '"pool": "evil", "pg_num": 8}'):
                status, _out, _message = client.mon_command(command, b'')
                self.assertEqual(-13, status, command)

    def write_image(self, user, pool):
        """Make an image and write it; gone afterwards."""
        with self.cluster.ioctx(pool, user) as ioctx:
            rbd.RBD().create(ioctx, 'mine', SIZE, old_format=False)
            with rbd.Image(ioctx, 'mine') as image:
                image.write(b'x', 0)
                image.flush()
            rbd.RBD().remove(ioctx, 'mine')

    def read(self, user, pool):
        with self.cluster.ioctx(pool, user) as ioctx, rbd.Image(
                ioctx, 'theirs', read_only=True) as image:
            return image.read(0, len(SECRET))

    def clone(self, user):
        """Clone an image of the images pool, as for a volume of it."""
        with self.cluster.ioctx('images', user) as images, \
                self.cluster.ioctx('volumes', user) as volumes:
            rbd.RBD().clone(images, 'theirs', 's', volumes, 'clone',
                            features=rbd.RBD_FEATURE_LAYERING)
            with rbd.Image(volumes, 'clone') as image:
                data = image.read(0, len(SECRET))
            rbd.RBD().remove(volumes, 'clone')
            return data

    def test_cinder(self):
        self.write_image('cinder', 'volumes')
        self.assertEqual(SECRET, self.read('cinder', 'images'))
        self.assertEqual(SECRET, self.clone('cinder'))
        with self.cluster.connect('cinder') as client:
            # Copiers that died are fenced.
            client.blocklist_add('10.9.9.9:0/1', 1)
        self.refused(self.write_image, 'cinder', 'images')
        self.refused(self.write_image, 'cinder', 'vms')
        self.refused(self.read, 'cinder', 'vms')
        self.commands_refused('cinder')

    def test_tagged_driver_with_cinders_key(self):
        self.addCleanup(cfg.CONF.reset)
        driver = self.started()
        volume = cinder_driver.volume()
        driver.create_volume(volume)
        snapshot = cinder_driver.snapshot(volume)
        driver.create_snapshot(snapshot)
        copy = cinder_driver.volume()
        driver.create_volume_from_snapshot(copy, snapshot)
        driver.extend_volume(copy, 2)
        for thing, remove in ((copy, driver.delete_volume),
                              (snapshot, driver.delete_snapshot),
                              (volume, driver.delete_volume)):
            remove(thing)
        self.assertEqual('up', driver.get_volume_stats(refresh=True)[
            'backend_state'])
        self.assertNotEqual('unknown', driver.get_volume_stats()[
            'total_capacity_gb'])

    def test_glance(self):
        self.write_image('glance', 'images')
        # The store "tagged" writes into the volumes that Cinder made.
        self.write_image('glance', 'volumes')
        self.refused(self.write_image, 'glance', 'vms')
        self.refused(self.read, 'glance', 'vms')
        self.commands_refused('glance')

    def test_nova(self):
        self.write_image('nova', 'vms')
        self.assertEqual(SECRET, self.read('nova', 'images'))
        self.refused(self.write_image, 'nova', 'images')
        self.refused(self.write_image, 'nova', 'volumes')
        self.commands_refused('nova')

    def test_agent(self):
        probe = probes.RbdProbe(str(self.cluster.conf), 'ha', 'volumes',
                                'node-1')
        probe('', 20.0)
        probe('', 20.0)

    def test_agent_cannot_touch_data(self):
        with self.cluster.ioctx('volumes') as ioctx:
            data = [o.key for o in ioctx.list_objects()
                    if o.key.startswith('rbd_data')]
            self.assertTrue(data)
        for pool in POOLS:
            self.refused(self.read, 'ha', pool)
            self.refused(self.write_image, 'ha', pool)
        with self.cluster.ioctx('volumes', 'ha') as ioctx:
            for name in (*data, 'rbd_directory', 'cinder_tagged.probe.x'):
                self.refused(ioctx.read, name)
                self.refused(ioctx.stat, name)
                self.refused(ioctx.write_full, name, b'x')
                self.refused(ioctx.remove_object, name)
        with self.cluster.connect('ha') as client:
            self.assertRaises(rados.Error, client.blocklist_add,
                              '10.9.9.9:0/1', 1)
        self.commands_refused('ha')
