# SPDX-License-Identifier: Apache-2.0
"""The filter between a client and an application that records."""

import json
import types as python_types

import ddt
from oslo_config import cfg
from oslotest import base
import webob

from nova_hooks import errors
from nova_hooks import filter as filter_mod
from nova_hooks import opts
from nova_hooks import rewrite
from nova_hooks import types


class Recorder:
    """The application behind the filter; answers as Nova's create does."""

    def __call__(self, environ, start_response):
        request = webob.Request(environ)
        self.body = request.body
        self.length = request.content_length
        self.version = request.headers.get('OpenStack-API-Version')
        label = self.version or 'compute 2.1'
        response = webob.Response(b'{"server": {"id": "x"}}', status=202)
        response.headers['OpenStack-API-Version'] = label
        response.headers['X-OpenStack-Nova-API-Version'] = label.split()[1]
        return response(environ, start_response)


class Facts:
    """One flavor and one image."""

    def __init__(self, specs=None, properties=None):
        self.asked = []
        self.specs = specs or {}
        self.properties = properties or {}

    def flavor(self, context, reference):
        self.asked.append('flavor')
        return (rewrite.Flavor(5, self.specs) if reference == '1' else None)

    def image(self, context, image_id):
        self.asked.append('image')
        return (rewrite.Image(image_id, properties=self.properties)
                if image_id == 'img' else None)


class Cinder:
    """A type for each expression, and a quota of volumes."""

    def __init__(self, volumes=-1, fails=None):
        self.volumes = volumes
        self.fails = fails

    def volume_type(self, expression, project):
        if self.fails:
            raise self.fails
        return types.VolumeType(f'id of {expression}', str(expression))

    def usage(self, project):
        return {'volumes': {'limit': self.volumes, 'in_use': 0,
                            'reserved': 0}}


@ddt.ddt
class FilterTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.conf = cfg.ConfigOpts()
        self.conf.register_opts(opts.OPTS, group=opts.GROUP)
        self.conf([])
        self.app = Recorder()

    def _post(self, body, facts=None, cinder=None, path='/p/servers',
              method='POST', **headers):
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        request = webob.Request.blank(
            path, method=method, body=raw, environ={
                'nova.context': python_types.SimpleNamespace(
                    project_id='p')})
        request.headers.update({k.replace('_', '-'): v
                                for k, v in headers.items()})
        return request.get_response(filter_mod.FeatureDisks(
            self.app, self.conf, facts or Facts(), cinder or Cinder()))

    @staticmethod
    def _create(hint='ssd', **server):
        body = {'server': {'name': 'vm', 'imageRef': 'img',
                           'flavorRef': '1', 'networks': 'none', **server}}
        if hint:
            body['os:scheduler_hints'] = {'feature': hint}
        return body

    def _disk(self):
        server = json.loads(self.app.body)['server']
        return server['block_device_mapping_v2'][0]

    @ddt.data(
        b'{"server":  {"imageRef": "img", "flavorRef":"1"} }\n',
        b'{"server": {"imageRef": "\xc3\xa4", "flavorRef": "1"}}',
        b'not json', b'', b'[]', b'{"server": 3}', b'\xff\xfe',
        b'{"server": {"block_device_mapping_v2": [7], "flavorRef": "1"}}',
    )
    def test_without_a_feature_nothing_changes(self, raw):
        response = self._post(raw, OpenStack_API_Version='compute 2.5')
        self.assertEqual(202, response.status_int)
        self.assertEqual(raw, self.app.body)
        self.assertEqual('compute 2.5', self.app.version)

    @ddt.data(('GET', '/p/servers'), ('POST', '/p/servers/x/action'),
              ('POST', '/p/flavors'), ('PUT', '/servers'))
    @ddt.unpack
    def test_other_requests_are_not_read(self, method, path):
        facts = Facts()
        raw = json.dumps(self._create()).encode()
        self._post(raw, facts, path=path, method=method)
        self.assertEqual(raw, self.app.body)
        self.assertEqual([], facts.asked)

    @ddt.data('/servers', '/p/servers', '/p/servers/',
              '/p/os-volumes_boot')
    def test_image_boot_becomes_volume_boot(self, path):
        self._post(self._create(), path=path,
                   OpenStack_API_Version='compute 2.96')
        self.assertEqual('id of ssd', self._disk()['volume_type'])
        self.assertEqual(5, self._disk()['volume_size'])
        self.assertEqual('compute 2.96', self.app.version)
        self.assertEqual(len(self.app.body), self.app.length)

    @ddt.data('2.37', '2.1', '2.66')
    def test_old_microversions_are_lifted_unseen(self, asked):
        response = self._post(self._create(),
                              OpenStack_API_Version=f'compute {asked}')
        self.assertEqual('compute 2.67', self.app.version)
        self.assertEqual(f'compute {asked}',
                         response.headers['OpenStack-API-Version'])
        self.assertEqual(
            asked, response.headers['X-OpenStack-Nova-API-Version'])

    def test_no_microversion_at_all(self):
        response = self._post(self._create())
        self.assertEqual('compute 2.67', self.app.version)
        self.assertEqual('compute 2.1',
                         response.headers['OpenStack-API-Version'])

    def test_flavor_and_image_speak_too(self):
        for facts in (Facts(specs={'feature:require': 'db'}),
                      Facts(properties={'feature': 'db'})):
            self._post(self._create(hint=None), facts)
            self.assertEqual('id of db', self._disk()['volume_type'])

    def test_image_is_not_asked_for_if_it_may_not_speak(self):
        self.conf.set_override('sources', ['hint'], group=opts.GROUP)
        facts = Facts(properties={'feature': 'db'})
        raw = json.dumps(self._create(hint=None)).encode()
        self._post(raw, facts)
        self.assertEqual(raw, self.app.body)
        self.assertEqual(['flavor'], facts.asked)

    def _refused(self, status, response):
        self.assertEqual(status, response.status_int)
        self.assertFalse(hasattr(self.app, 'body'))
        self.assertEqual('compute 2.1',
                         response.headers['OpenStack-API-Version'])
        (error,) = response.json.values()
        self.assertEqual(status, error['code'])
        return error['message']

    def test_conflict_is_one_400(self):
        response = self._post(self._create(metadata={'feature': 'hdd'}))
        self.assertIn('"hdd"', self._refused(400, response))
        self.assertIn('badRequest', response.json)

    def test_hint_beside_an_existing_disk_is_refused(self):
        response = self._post(self._create(
            imageRef='', block_device_mapping_v2=[
                {'source_type': 'volume', 'destination_type': 'volume',
                 'boot_index': 0, 'uuid': 'v'}]))
        self.assertIn('boots from a disk', self._refused(400, response))

    def test_flavor_beside_an_existing_disk_is_not_in_force(self):
        raw = json.dumps(self._create(
            hint=None, imageRef='', block_device_mapping_v2=[
                {'source_type': 'volume', 'destination_type': 'volume',
                 'boot_index': 0, 'uuid': 'v'}])).encode()
        self._post(raw, Facts(specs={'feature:require': 'db'}))
        self.assertEqual(raw, self.app.body)

    @ddt.data({'flavorRef': 'gone'}, {'imageRef': 'gone'})
    def test_what_is_missing_is_left_to_nova(self, change):
        raw = json.dumps(self._create(**change)).encode()
        self._post(raw)
        self.assertEqual(raw, self.app.body)

    def test_over_quota_is_403(self):
        response = self._post(self._create(), cinder=Cinder(volumes=0))
        self.assertIn('Quota exceeded for volumes',
                      self._refused(403, response))
        self.assertIn('forbidden', response.json)

    def test_quota_limits_the_most(self):
        self._post(self._create(min_count=1, max_count=9),
                   cinder=Cinder(volumes=4))
        self.assertEqual(4, json.loads(self.app.body)['server']['max_count'])

    def test_silent_cinder_is_503(self):
        response = self._post(self._create(), cinder=Cinder(
            fails=errors.NotReady('later')))
        self.assertEqual('later', self._refused(503, response))
