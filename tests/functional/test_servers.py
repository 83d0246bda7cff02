# SPDX-License-Identifier: Apache-2.0
"""Row P6: system disks land in the cluster that a server asks for.

With real Nova, Glance, Cinder and Ceph clusters; Nova's fake hypervisor
runs no guest, but everything about volumes is real.
"""

import os
import secrets

import rbd

from tests.functional import test_images

MIB = 1024 ** 2


class ServerCase(test_images.ImageCase):
    """A test that makes servers."""

    parts = frozenset({'image', 'compute'})

    def setUp(self):
        super().setUp()
        self.flavors = {flavor.name: flavor
                        for flavor in self.cloud.compute.flavors()}
        self.data = os.urandom(4 * MIB)

    def post(self, *, hint=None, flavor='tiny', version='2.96', cloud=None,
             **server):
        """Send a server create and return the answer."""
        body = {'server': {
            'name': f'test-{secrets.token_hex(3)}', 'networks': 'none',
            'flavorRef': self.flavors[flavor].id, **server}}
        if version in ('2.1', '2.18'):  # before "none" could be said
            body['server']['networks'] = []
        if hint:
            body['os:scheduler_hints'] = {'feature': hint}
        headers = ({'OpenStack-API-Version': f'compute {version}'}
                   if version else {})
        answer = (cloud or self.cloud).compute.post(
            '/servers', json=body, headers=headers)
        if answer.status_code == 202:
            self.addCleanup(self.drop_server, answer.json()['server']['id'])
        return answer

    def create(self, **arguments):
        """Create a server, wait until it is active, return its record."""
        answer = self.post(**arguments)
        self.assertEqual(202, answer.status_code, answer.text)
        ident = answer.json()['server']['id']
        compute = self.cloud.compute
        self.wait_until(
            lambda: compute.get_server(ident).status in ('ACTIVE', 'ERROR'),
            f'server {ident} built')
        server = compute.get_server(ident)
        self.assertEqual('ACTIVE', server.status,
                         getattr(server, 'fault', None))
        return server

    def drop_server(self, ident):
        """Delete a server and wait until it is gone."""
        self.cloud.compute.delete_server(ident, ignore_missing=True)
        self.wait_until(
            lambda: self.cloud.compute.find_server(ident) is None,
            f'server {ident} deleted')

    def disk_of(self, server):
        """Return the one volume of a server."""
        (attached,) = server.attached_volumes
        return self.cloud.block_storage.get_volume(attached.id)


class ServersTest(ServerCase):

    # -- where disks are ----------------------------------------------------

    def test_hint_decides_the_cluster_and_the_disk_is_a_clone(self):
        image = self.upload(self.data, feature='hdd')
        _cluster, place = self.place(image)
        server = self.create(imageRef=image, hint='hdd')
        disk = self.disk_of(server)
        self.assertEqual(['ceph-hdd'], self.clusters_with(disk.id))
        self.assertEqual(1, disk.size)
        with self.clusters['ceph-hdd'].ioctx('volumes') as ioctx, \
                rbd.Image(ioctx, f'volume-{disk.id}',
                          read_only=True) as opened:
            self.assertEqual(
                (place.pool, place.image, place.snapshot),
                opened.parent_info())
            self.assertEqual(self.data, opened.read(0, len(self.data)))
        self.drop_server(server.id)
        self.wait_until(
            lambda: not self.clusters_with(disk.id),
            'the system disk went with its server')

    def test_every_place_may_name_the_feature(self):
        plain = self.upload(self.data)
        asking = self.upload(self.data, feature='hdd')
        flavor = self.cloud.compute.create_flavor(
            name=f'hdd-{secrets.token_hex(3)}', vcpus=1, ram=64, disk=1)
        self.addCleanup(self.cloud.compute.delete_flavor, flavor)
        self.cloud.compute.create_flavor_extra_specs(
            flavor, {'feature:require': 'hdd'})
        self.flavors['hdd'] = flavor
        for arguments in ({'imageRef': plain, 'hint': 'hdd'},
                          {'imageRef': plain,
                           'metadata': {'feature': 'hdd'}},
                          {'imageRef': plain, 'flavor': 'hdd'},
                          {'imageRef': asking}):
            disk = self.disk_of(self.create(**arguments))
            self.assertEqual(['ceph-hdd'], self.clusters_with(disk.id),
                             arguments)

    def test_the_server_may_differ_from_where_its_image_is(self):
        image = self.upload(self.data, feature='hdd')
        disk = self.disk_of(self.create(imageRef=image, hint='ssd & test'))
        self.assertEqual(['ceph-ssd-b'], self.clusters_with(disk.id))

    def test_expression_gets_a_private_volume_type(self):
        image = self.upload(self.data)
        demo = self.sandbox.connect('demo')
        self.cloud.image.patch(
            f'/images/{image}', headers={
                'Content-Type':
                    'application/openstack-images-v2.1-json-patch'},
            json=[{'op': 'replace', 'path': '/visibility',
                   'value': 'public'}])
        for _turn in range(2):
            answer = self.post(imageRef=image, hint='hdd & prod', cloud=demo)
            self.assertEqual(202, answer.status_code, answer.text)
        ident = answer.json()['server']['id']
        self.wait_until(
            lambda: demo.compute.get_server(ident).status == 'ACTIVE',
            'server of another project built')
        (attached,) = demo.compute.get_server(ident).attached_volumes
        self.assertEqual(['ceph-hdd'], self.clusters_with(attached.id))
        types = [kind for kind in self.cloud.block_storage.types(
            is_public='None') if kind.name == 'feature: hdd & prod']
        self.assertEqual(1, len(types))
        self.assertFalse(types[0].is_public)

    def test_entry_of_openstackclient(self):
        image = self.upload(self.data)
        disk = self.disk_of(self.create(
            imageRef=image, hint='hdd', block_device_mapping_v2=[{
                'uuid': image, 'source_type': 'image',
                'destination_type': 'local', 'boot_index': 0,
                'delete_on_termination': True}]))
        self.assertEqual(['ceph-hdd'], self.clusters_with(disk.id))

    def test_own_volume_with_its_size(self):
        image = self.upload(self.data)
        disk = self.disk_of(self.create(
            hint='hdd', flavor='volume', block_device_mapping_v2=[{
                'uuid': image, 'source_type': 'image',
                'destination_type': 'volume', 'boot_index': 0,
                'volume_size': 2, 'delete_on_termination': True}]))
        self.assertEqual(2, disk.size)
        self.assertEqual(['ceph-hdd'], self.clusters_with(disk.id))

    def test_flavor_without_a_disk(self):
        image = self.upload(self.data, min_disk=3)
        disk = self.disk_of(self.create(
            imageRef=image, hint='hdd', flavor='volume'))
        self.assertEqual(3, disk.size)

    # -- how clients see it -------------------------------------------------

    def test_microversions(self):
        image = self.upload(self.data)
        for asked in (None, '2.1', '2.18', '2.37', '2.66', '2.67', '2.96',
                      'latest'):
            answer = self.post(imageRef=image, hint='hdd', version=asked,
                               **({} if asked else {'networks': []}))
            self.assertEqual(202, answer.status_code, (asked, answer.text))
            if asked != 'latest':  # is answered with its number
                self.assertEqual(
                    f'compute {asked or "2.1"}',
                    answer.headers['OpenStack-API-Version'])
            self.assertEqual({'id', 'links', 'OS-DCF:diskConfig',
                              'security_groups', 'adminPass'},
                             set(answer.json()['server']))
            ident = answer.json()['server']['id']
            self.wait_until(
                lambda ident=ident: self.cloud.compute.get_server(
                    ident).status == 'ACTIVE', f'server built with {asked}')

    def test_description_of_old_microversions(self):
        image = self.upload(self.data)
        server = self.create(imageRef=image, hint='hdd', version='2.1',
                             name='as it was')
        self.assertEqual('as it was', server.description)

    def test_without_a_feature_the_disk_is_local(self):
        image = self.upload(self.data)
        server = self.create(imageRef=image)
        self.assertEqual([], list(server.attached_volumes))
        self.assertEqual(image, server.image.id)

    def test_conflict(self):
        image = self.upload(self.data)
        answer = self.post(imageRef=image, hint='hdd',
                           metadata={'feature': 'ssd'})
        self.assertEqual(400, answer.status_code)
        message = answer.json()['badRequest']['message']
        self.assertIn('"hdd"', message)
        self.assertIn('"ssd"', message)

    def test_image_too_large_for_the_flavor(self):
        image = self.upload(self.data, min_disk=9)
        answer = self.post(imageRef=image, hint='hdd')
        self.assertEqual(400, answer.status_code)
        self.assertIn('needs 9 GiB', answer.text)

    def test_quota(self):
        image = self.upload(self.data)
        quotas = self.cloud.block_storage
        project = self.cloud.current_project_id
        quotas.update_quota_set(project, volumes=0)
        self.addCleanup(quotas.revert_quota_set, project)
        answer = self.post(imageRef=image, hint='hdd')
        self.assertEqual(403, answer.status_code, answer.text)
        self.assertIn('Quota exceeded for volumes',
                      answer.json()['forbidden']['message'])

    def test_several_servers_at_once(self):
        image = self.upload(self.data, feature='hdd')
        name = f'several-{secrets.token_hex(3)}'
        answer = self.post(imageRef=image, hint='hdd', min_count=3,
                           name=name)
        self.assertEqual(202, answer.status_code, answer.text)
        found = list(self.cloud.compute.servers(name=name))
        self.assertEqual(3, len(found))
        for server in found:
            self.addCleanup(self.drop_server, server.id)
        self.wait_until(
            lambda: all(self.cloud.compute.get_server(server.id).status
                        == 'ACTIVE' for server in found), 'all are built')
        for server in found:
            disk = self.disk_of(self.cloud.compute.get_server(server.id))
            self.assertEqual(['ceph-hdd'], self.clusters_with(disk.id))
