# SPDX-License-Identifier: Apache-2.0
"""Row P5: images land in the cluster of their feature.

With real Glance, Cinder and Ceph clusters.
"""

import contextlib
import hashlib
import os
from pathlib import Path
import secrets
import socket
import subprocess
import tempfile
from urllib import parse

from cinderclient import client as cinder_client
import rbd

from glance_store_ext import clusters
from glance_store_ext import locations
from glance_store_ext import sweep
from glance_store_ext import upload
from glance_store_ext import volumes
from tests.functional import base

MIB = 1024 ** 2
GIB = 1024 ** 3


class ImageCase(base.SandboxTestCase):
    """What tests of images share.

    :ivar project: openstacksdk connection as Glance's own user, whose
        project owns the volumes of images
    """

    parts = frozenset({'image'})

    def setUp(self):
        super().setUp()
        self.project = self.sandbox.connect('glance')

    def new_image(self, **properties):
        """Make an image record without data."""
        image = self.cloud.image.post('/images', json={
            'name': f'test-{secrets.token_hex(3)}', 'disk_format': 'raw',
            'container_format': 'bare', **properties})
        self.assertEqual(201, image.status_code, image.text)
        ident = image.json()['id']
        self.addCleanup(self.drop_image, ident)
        return ident

    def put(self, ident, data, store=None, **headers):
        """Send the data of an image; a generator goes without a length."""
        headers['Content-Type'] = 'application/octet-stream'
        if store:
            headers['X-Image-Meta-Store'] = store
        return self.cloud.image.put(f'/images/{ident}/file', data=data,
                                    headers=headers)

    def image(self, ident):
        """Return the record of an image."""
        return self.cloud.image.get(f'/images/{ident}').json()

    def drop_image(self, ident):
        """Delete an image and wait until its volume is gone."""
        self.cloud.image.delete(f'/images/{ident}')
        self.wait_until(lambda: not self.volumes_of(ident),
                        f'volume of image {ident} deleted')

    def volumes_of(self, ident):
        """Return the volumes that hold, or held, an image's data."""
        return [volume for volume in self.project.block_storage.volumes()
                if volume.metadata.get('glance_image_id') == ident]

    def place(self, ident):
        """Return (cluster, address) of an image with one location."""
        (location,) = self.image(ident)['locations']
        place = locations.read(location['url'])
        (cluster,) = [name for name, one in self.clusters.items()
                      if one.fsid == place.fsid]
        return cluster, place

    def upload(self, data, store=None, **properties):
        """Upload an image and return its id."""
        ident = self.new_image(**properties)
        answer = self.put(ident, data, store)
        self.assertEqual(204, answer.status_code, answer.text)
        self.assertEqual('active', self.image(ident)['status'])
        return ident

    def download(self, ident, **headers):
        """Return the answer to a download."""
        return self.cloud.image.get(f'/images/{ident}/file',
                                    headers=headers)

    def assert_nothing_left(self, ident):
        """Check that an upload that failed left nothing behind."""
        self.wait_until(lambda: self.image(ident)['status'] == 'queued',
                        f'image {ident} waits for data again')
        self.wait_until(lambda: not self.volumes_of(ident),
                        f'volume of image {ident} removed')
        self.assert_no_remains()

    def assert_no_remains(self):
        """Check that volumes, snapshots and attachments belong together."""
        volumes = {volume.id for volume in
                   self.cloud.block_storage.volumes(all_projects=True)}
        held = self.project.block_storage.get(
            '/attachments', headers={
                'OpenStack-API-Version': 'volume 3.44'}).json()
        self.assertLessEqual({attachment['volume_id'] for attachment
                              in held['attachments']}, volumes)
        self.assertLessEqual(
            {snapshot.volume_id for snapshot
             in self.project.block_storage.snapshots()}, volumes)
        known = {f'volume-{ident}' for ident in volumes}
        for cluster, images in self.sandbox.images().items():
            found = {name for name in images if name.startswith('volume-')}
            self.assertLessEqual(found, known, f'orphan on {cluster}')


class ImagesTest(ImageCase):

    def test_property_decides_the_cluster(self):
        data = os.urandom(9 * MIB) + bytes(20 * MIB) + b'end'
        ident = self.upload(data, feature='hdd')
        cluster, place = self.place(ident)
        self.assertEqual('ceph-hdd', cluster)
        self.assertEqual(['ceph-hdd'], self.clusters_with(place.volume_id))
        record = self.image(ident)
        self.assertEqual(len(data), record['size'])
        self.assertEqual('featured', record['stores'])
        self.assertEqual(hashlib.sha512(data).hexdigest(),
                         record['os_hash_value'])
        self.assertEqual(
            hashlib.md5(data, usedforsecurity=False).hexdigest(),
            record['checksum'])
        self.assertEqual(data, self.download(ident).content)

    def test_expression(self):
        ident = self.upload(b'x' * MIB, feature='ssd & test')
        self.assertEqual('ceph-ssd-b', self.place(ident)[0])

    def test_store_decides_the_cluster(self):
        ident = self.upload(b'x' * MIB, 'fast')
        self.assertIn(self.place(ident)[0], ('ceph-ssd-a', 'ceph-ssd-b'))

    def test_store_and_property_must_both_hold(self):
        ident = self.upload(b'x' * MIB, 'fast', feature='test')
        self.assertEqual('ceph-ssd-b', self.place(ident)[0])
        ident = self.new_image(feature='hdd')
        answer = self.put(ident, b'x' * MIB, 'fast')
        self.assertEqual(400, answer.status_code, answer.text)
        self.assert_nothing_left(ident)

    def test_without_a_feature_the_default_store_is_used(self):
        ident = self.upload(b'x' * MIB)
        self.assertNotEqual('featured', self.image(ident)['stores'])
        self.assertEqual([], self.volumes_of(ident))

    def test_unreadable_feature(self):
        ident = self.new_image(feature='ssd & &')
        answer = self.put(ident, b'x' * MIB)
        self.assertEqual(400, answer.status_code, answer.text)
        self.assertIn('at character', answer.text)
        self.assert_nothing_left(ident)

    def test_ranges(self):
        data = os.urandom(6 * MIB)
        ident = self.upload(data, feature='hdd')
        for begin, end in ((0, 0), (5, 4 * MIB + 7), (6 * MIB - 1,
                                                      6 * MIB - 1)):
            answer = self.download(ident, Range=f'bytes={begin}-{end}')
            self.assertEqual(206, answer.status_code)
            self.assertEqual(data[begin:end + 1], answer.content)
        answer = self.download(ident, Range='bytes=-5')
        self.assertEqual(data[-5:], answer.content)
        answer = self.download(ident, Range=f'bytes={len(data)}-')
        self.assertEqual(416, answer.status_code)

    def test_length_not_known_beforehand(self):
        piece = os.urandom(3 * MIB)
        ident = self.upload((piece for _turn in range(5)), feature='hdd')
        self.assertEqual(15 * MIB, self.image(ident)['size'])
        self.assertEqual(piece * 5, self.download(ident).content)

    def test_growth_beyond_the_first_volume(self):
        piece, count, marked = 2 * MIB, 530, 520
        ident = self.upload(
            (b'y' * piece if turn == marked else bytes(piece)
             for turn in range(count)), feature='hdd')
        self.assertEqual(count * piece, self.image(ident)['size'])
        (volume,) = self.volumes_of(ident)
        self.assertEqual(2, volume.size)
        answer = self.download(
            ident, Range=f'bytes={marked * piece - 1}-{marked * piece}')
        self.assertEqual(b'\0y', answer.content)

    def test_volumes_are_clones_of_the_image(self):
        ident = self.upload(os.urandom(5 * MIB), feature='hdd')
        _cluster, place = self.place(ident)
        volume = self.create_volume(1, image_id=ident,
                                    scheduler_hints={'feature': 'hdd'})
        with self.clusters['ceph-hdd'].ioctx('volumes') as ioctx, \
                rbd.Image(ioctx, f'volume-{volume.id}',
                          read_only=True) as disk:
            self.assertEqual(
                (place.pool, place.image, place.snapshot),
                disk.parent_info())

    def test_volumes_prefer_clusters_that_hold_their_image(self):
        # Its weight is the lowest of the two on ssd.
        ident = self.upload(os.urandom(MIB), feature='ssd & test')
        self.assertEqual('ceph-ssd-b', self.place(ident)[0])
        for _turn in range(3):
            volume = self.create_volume(1, image_id=ident,
                                        scheduler_hints={'feature': 'ssd'})
            self.assertEqual(['ceph-ssd-b'], self.clusters_with(volume.id))
        volume = self.create_volume(1, image_id=ident,
                                    scheduler_hints={'feature': 'hdd'})
        self.assertEqual(['ceph-hdd'], self.clusters_with(volume.id))

    def test_volumes_prefer_clusters_with_a_copy_of_their_image(self):
        ident = self.upload(os.urandom(MIB), feature='hdd')
        self.create_volume(1, image_id=ident,
                           scheduler_hints={'feature': 'ssd & test'})
        self.wait_until(
            lambda: any(ident in (pool.capabilities or {}).get(
                'feature_images', ()) for pool in
                self.cloud.block_storage.backend_pools()),
            'the copy is known to the scheduler')
        volume = self.create_volume(1, image_id=ident,
                                    scheduler_hints={'feature': 'ssd'})
        self.assertEqual(['ceph-ssd-b'], self.clusters_with(volume.id))

    def test_deleting_an_image_keeps_its_clones(self):
        data = os.urandom(5 * MIB)
        ident = self.upload(data, feature='hdd')
        _cluster, place = self.place(ident)
        volume = self.create_volume(1, image_id=ident,
                                    scheduler_hints={'feature': 'hdd'})
        self.drop_image(ident)
        self.assertNotIn(place.image,
                         self.sandbox.images()['ceph-hdd'])
        with self.clusters['ceph-hdd'].ioctx('volumes') as ioctx, \
                rbd.Image(ioctx, f'volume-{volume.id}',
                          read_only=True) as disk:
            self.assertEqual(data, disk.read(0, len(data)))

    def test_the_volume_of_an_image_cannot_be_deleted(self):
        ident = self.upload(b'x' * MIB, feature='hdd')
        (volume,) = self.volumes_of(ident)
        answer = self.project.block_storage.delete(f'/volumes/{volume.id}')
        self.assertEqual(400, answer.status_code)
        self.assertEqual(200, self.download(ident).status_code)

    def test_wrong_length_leaves_nothing(self):
        ident = self.new_image(feature='hdd')
        answer = self.put(ident, b'x' * MIB,
                          **{'x-openstack-image-size': str(MIB + 1)})
        self.assertEqual(400, answer.status_code, answer.text)
        self.assert_nothing_left(ident)

    @contextlib.contextmanager
    def half_an_upload(self, ident, size=64 * MIB):
        """Send the first part of an image, until its volume is there."""
        endpoint = parse.urlsplit(self.cloud.image.get_endpoint())
        with socket.create_connection(
                (endpoint.hostname, endpoint.port), timeout=60) as client:
            client.sendall((
                f'PUT /v2/images/{ident}/file HTTP/1.1\r\n'
                f'Host: {endpoint.netloc}\r\n'
                f'X-Auth-Token: {self.cloud.auth_token}\r\n'
                'Content-Type: application/octet-stream\r\n'
                f'Content-Length: {size}\r\n\r\n').encode())
            client.sendall(b'x' * (size // 2))
            self.wait_until(lambda: self.volumes_of(ident),
                            'the volume is being written')
            yield client

    def test_cancelled_upload_leaves_nothing(self):
        ident = self.new_image(feature='hdd')
        with self.half_an_upload(ident):
            pass
        self.assert_nothing_left(ident)

    def test_image_that_is_deleted_while_it_comes_leaves_nothing(self):
        ident = self.new_image(feature='hdd')
        with self.half_an_upload(ident) as client:
            answer = self.cloud.image.delete(f'/images/{ident}')
            self.assertEqual(204, answer.status_code, answer.text)
            client.sendall(b'x' * 32 * MIB)
            self.assertIn(b' 410 ', client.recv(1024))
        self.wait_until(lambda: not self.volumes_of(ident),
                        f'volume of image {ident} removed')
        self.assert_no_remains()

    def test_killed_uploads_are_found(self):
        live = self.upload(b'x' * MIB, feature='hdd')
        dead = self.new_image(feature='hdd')
        target = self.target_of_store()
        volume = target.volumes.ready(
            target.volumes.begin(dead, 1, 'hdd', None))
        sweeper = sweep.Sweeper(
            lambda ident: tuple(found['url'] for found
                                in self.image(ident)['locations']), 0)
        with target.clusters.image(
                volume.fsid, volume.pool, f'volume-{volume.id}') as image:
            image.write(b'first data', 0)
            self.assertEqual([], sweeper.sweep(target))
        # Its process is gone, and so are its watch and its connection.
        self.assertEqual([volume.id], sweeper.sweep(target))
        self.assertEqual([], self.volumes_of(dead))
        self.assertEqual(b'x' * MIB, self.download(live).content)
        self.assert_no_remains()

    def target_of_store(self):
        """Return what the store "featured" works with."""
        return upload.Target(
            volumes.Volumes(cinder_client.Client(
                volumes.MICROVERSION, session=self.project.session,
                service_type='block-storage'), 60),
            clusters.Clusters(
                [str(one.conf) for one in self.clusters.values()],
                'cinder', 30),
            None, ('volume-%s', 'snapshot-%s'), 8)

    def test_empty_image(self):
        ident = self.upload(b'', feature='hdd')
        self.assertEqual(0, self.image(ident)['size'])
        self.assertEqual('ceph-hdd', self.place(ident)[0])

    def test_quota_is_told_and_leaves_nothing(self):
        quotas = self.cloud.block_storage
        project = self.project.current_project_id
        quotas.update_quota_set(project, gigabytes=0)
        self.addCleanup(quotas.revert_quota_set, project)
        ident = self.new_image(feature='hdd')
        answer = self.put(ident, b'x' * MIB)
        self.assertEqual(413, answer.status_code, answer.text)
        self.assertIn('quota', answer.text.lower())
        self.assert_nothing_left(ident)

    def test_every_list_of_stores_works(self):
        stores = self.cloud.image.get('/info/stores').json()['stores']
        detail = self.cloud.image.get(
            '/info/stores/detail').json()['stores']
        self.assertEqual({store['id'] for store in stores},
                         {store['id'] for store in detail})
        by_id = {store['id']: store for store in detail}
        self.assertEqual('rbd', by_id['ceph-hdd']['type'])
        self.assertEqual('tagged', by_id['fast']['type'])
        self.assertEqual('ssd', by_id['fast']['properties']['feature'])
        self.assertEqual(
            {cluster.fsid for cluster in self.clusters.values()},
            set(by_id['fast']['properties']['clusters']))
        answer = self.sandbox.connect('demo').image.get(
            '/info/stores/detail')
        self.assertEqual(403, answer.status_code)

    def test_import_follows_the_property(self):
        data = os.urandom(5 * MIB)
        ident = self.new_image(feature='hdd')
        self.cloud.image.put(
            f'/images/{ident}/stage', data=data,
            headers={'Content-Type': 'application/octet-stream'})
        answer = self.cloud.image.post(
            f'/images/{ident}/import',
            json={'method': {'name': 'glance-direct'}})
        self.assertEqual(202, answer.status_code, answer.text)
        self.wait_until(lambda: self.image(ident)['status'] == 'active',
                        f'image {ident} imported')
        self.assertEqual('ceph-hdd', self.place(ident)[0])
        self.assertEqual(data, self.download(ident).content)

    def test_copy_of_an_image_in_another_store(self):
        ident = self.upload(b'x' * MIB)
        answer = self.cloud.image.post(
            f'/images/{ident}/import', json={
                'method': {'name': 'copy-image'}, 'stores': ['fast']})
        self.assertEqual(202, answer.status_code, answer.text)
        self.wait_until(
            lambda: 'fast' in self.image(ident)['stores'].split(','),
            f'image {ident} copied')
        answer = self.cloud.image.delete(f'/stores/fast/{ident}')
        self.assertEqual(204, answer.status_code, answer.text)
        self.wait_until(lambda: not self.volumes_of(ident),
                        'the copy is gone')
        self.assertEqual(b'x' * MIB, self.download(ident).content)

    def test_qcow2(self):
        with tempfile.TemporaryDirectory() as directory:
            raw, qcow2 = Path(directory, 'raw'), Path(directory, 'qcow2')
            content = os.urandom(3 * MIB) + bytes(29 * MIB)
            raw.write_bytes(content)
            subprocess.run(
                ['qemu-img', 'convert', '-O', 'qcow2', raw, qcow2],
                check=True, timeout=60)
            stored = qcow2.read_bytes()
        ident = self.upload(stored, feature='hdd', disk_format='qcow2')
        self.assertEqual(stored, self.download(ident).content)
        self.assertEqual(32 * MIB, self.image(ident)['virtual_size'])
        volume = self.create_volume(1, image_id=ident,
                                    scheduler_hints={'feature': 'ssd'})
        (cluster,) = self.clusters_with(volume.id)
        self.assertIn(cluster, ('ceph-ssd-a', 'ceph-ssd-b'))
        with self.clusters[cluster].ioctx('volumes') as ioctx, \
                rbd.Image(ioctx, f'volume-{volume.id}',
                          read_only=True) as disk:
            self.assertEqual(content, disk.read(0, len(content)))

    def test_locations_are_readable(self):
        ident = self.upload(b'x' * MIB, feature='hdd')
        record = self.image(ident)
        self.assertEqual(record['direct_url'],
                         record['locations'][0]['url'])
        self.assertEqual('featured',
                         record['locations'][0]['metadata']['store'])
