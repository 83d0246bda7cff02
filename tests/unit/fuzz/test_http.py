# SPDX-License-Identifier: Apache-2.0
"""Requests of clients, on their way through the filters of Nova and Glance.

A filter forwards a request or answers with an error of its own; it never
fails.
"""

import json

from hypothesis import example
from hypothesis import given
from hypothesis import strategies as st
from oslo_config import cfg
from oslotest import base
import webob

from glance_store_ext import locations
from glance_store_ext import wish
from nova_hooks import filter as nova_filter
from nova_hooks import opts
from nova_hooks import version
from tests.unit import fuzz
from tests.unit.nova_hooks import test_filter

_CREATE = {
    'server': {
        'name': 'web', 'flavorRef': '1', 'imageRef': 'img',
        'networks': 'none', 'min_count': 1, 'max_count': 2,
        'metadata': {'feature': 'ssd'},
        'block_device_mapping_v2': [{
            'boot_index': 0, 'uuid': 'img', 'source_type': 'image',
            'destination_type': 'local', 'volume_size': 3}]},
    'os:scheduler_hints': {'feature': 'ssd & !test'}}
_DEEP = b'{"server": ' + b'[' * 50000


class NovaTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        conf = cfg.ConfigOpts()
        conf.register_opts(opts.OPTS, group=opts.GROUP)
        conf([])
        self.filter = nova_filter.FeatureDisks(
            test_filter.Recorder(), conf, test_filter.Facts(),
            test_filter.Cinder())

    def send(self, body, asked='2.90'):
        request = webob.Request.blank('/v2.1/servers', method='POST')
        request.body = body
        request.content_type = 'application/json'
        request.headers['OpenStack-API-Version'] = f'compute {asked}'
        request.environ['nova.context'] = _Context()
        answer = request.get_response(self.filter)
        self.assertIn(answer.status_int, (202, 400, 403, 503))
        return answer

    def test_a_good_one(self):
        self.assertEqual(202, self.send(json.dumps({
            'server': {**_CREATE['server'], 'metadata': {}},
            'os:scheduler_hints': {'feature': 'ssd'}}).encode()).status_int)

    @given(st.one_of(st.binary(max_size=60), fuzz.spoiled(
        json.dumps(_CREATE)).map(lambda t: t.encode('utf-8', 'replace'))))
    @example(_DEEP)
    @example(b'{"server": {"name": ' + b'1' * 6000 + b'}}')
    @fuzz.bounded
    def test_any_bytes(self, body):
        self.send(body)

    @given(fuzz.altered(_CREATE), st.sampled_from(['2.1', '2.36', '2.90']))
    @example({'server': {**_CREATE['server'], 'block_device_mapping_v2': {
        'a': 1}}}, '2.90')
    @example({'server': {**_CREATE['server'], 'block_device_mapping_v2': [
        {'boot_index': 0, 'uuid': 'img', 'source_type': 'image'},
        7]}}, '2.90')
    @example({'server': {**_CREATE['server'], 'imageRef': '/' * 9}}, '2.90')
    @example({**_CREATE, 'os:scheduler_hints': {
        'feature': ['ssd'] * 20000}}, '2.90')
    @example({'server': {**_CREATE['server'], 'min_count': float('inf')}},
             '2.90')
    @example({'server': {
        **_CREATE['server'], 'block_device_mapping_v2': [{
            'boot_index': 0, 'uuid': 'img', 'source_type': 'image',
            'destination_type': 'volume', 'volume_size': '²'}]},
        'os:scheduler_hints': {'feature': 'ssd'}}, '2.90')
    @fuzz.bounded
    def test_any_create(self, body, asked):
        self.send(json.dumps(body).encode('utf-8', 'replace'), asked)

    @given(fuzz.text.filter(lambda t: t.isprintable() and t.isascii()))
    @example('2.' + '9' * 5000)
    @example('latest')
    @fuzz.bounded
    def test_any_microversion(self, asked):
        version.needs_lift(version.asked(f'compute {asked}', asked))
        self.send(json.dumps(_CREATE).encode(), asked or '2.1')


class _Context:
    project_id = 'p'
    user_id = 'u'


class GlanceTest(base.BaseTestCase):

    @given(st.one_of(st.binary(max_size=80), fuzz.json_values.map(
        lambda v: json.dumps(v).encode())))
    @example(b'[' * 50000)
    @example(b'{"stores": ' + b'1' * 6000 + b'}')
    @example(b'\xff\xfe')
    @fuzz.bounded
    def test_import_body(self, body):
        self.assertIsInstance(wish.chooses_stores(body), bool)

    @given(st.one_of(fuzz.text, fuzz.spoiled(
        'rbd://fsid/pool/volume-x/snapshot-y')))
    @fuzz.bounded
    def test_location(self, uri):
        try:
            place = locations.read(uri)
        except locations.LocationError:
            return
        self.assertEqual(place, locations.read(place.uri))
        self.assertIsInstance(place.volume_id, str | None)
