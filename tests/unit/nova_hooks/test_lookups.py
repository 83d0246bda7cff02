# SPDX-License-Identifier: Apache-2.0
"""Volume types: found, opened, derived; with a Cinder in memory."""

import itertools
import types as python_types

from cinderclient import exceptions as cinder_exceptions
from oslo_config import cfg
from oslotest import base

from cinder_tagged import features
from nova_hooks import errors
from nova_hooks import lookups
from nova_hooks import opts


class Volume:
    """A volume type as cinderclient returns it."""

    def __init__(self, ident, name, is_public, specs=None):
        self.id = ident
        self.name = name
        self.is_public = is_public
        self.extra_specs = specs or {}

    def set_keys(self, specs):
        self.extra_specs.update(specs)


class Client:
    """The part of Cinder's API that the hook uses, in memory."""

    def __init__(self):
        self.found = {}
        self.access = {}
        self.lists = 0
        self.number = itertools.count()
        self.volume_types = self
        self.volume_type_access = python_types.SimpleNamespace(
            list=lambda ident: [python_types.SimpleNamespace(project_id=p)
                                for p in self.access.get(ident, ())],
            add_project_access=lambda ident, project:
                self.access.setdefault(ident, set()).add(project))

    def list(self, is_public):
        self.lists += 1
        return list(self.found.values())

    def create(self, name, description, is_public=True):
        if any(t.name == name for t in self.found.values()):
            raise cinder_exceptions.ClientException(409)
        made = Volume(str(next(self.number)), name, is_public)
        self.found[made.id] = made
        return made

    def delete(self, ident):
        del self.found[ident]


class CinderTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.conf = cfg.ConfigOpts()
        self.conf.register_opts(opts.OPTS, group=opts.GROUP)
        self.conf([])
        self.now = 0.0
        self.client = Client()
        self.cinder = lookups.Cinder(self.conf, clock=lambda: self.now)
        self.cinder._client = self.client
        self.both = features.parse_expression('ssd & db')

    def test_existing_type_is_listed_once(self):
        made = self.client.create('x', '')
        made.set_keys({'feature:require': 'ssd&db'})
        for _turn in range(3):
            self.assertEqual(
                made.id, self.cinder.volume_type(self.both, 'p').id)
        self.assertEqual(1, self.client.lists)
        self.now += self.conf.feature_disks.cache_seconds
        self.cinder.volume_type(self.both, 'p')
        self.assertEqual(2, self.client.lists)

    def test_derive_then_open_to_another_project(self):
        first = self.cinder.volume_type(self.both, 'p')
        second = self.cinder.volume_type(self.both, 'q')
        self.assertEqual(first.id, second.id)
        made = self.client.found[first.id]
        self.assertFalse(made.is_public)
        self.assertEqual('ssd & db', made.extra_specs['feature:require'])
        self.assertEqual({'p', 'q'}, self.client.access[first.id])

    def test_derive_at_the_same_time_elsewhere(self):
        other = lookups.Cinder(self.conf)
        other._client = self.client
        theirs = other.volume_type(self.both, 'p')
        self.cinder._read_at = self.now  # its list is older than that
        self.conf.set_override('cache_seconds', 1000, group=opts.GROUP)
        self.assertEqual(
            theirs.id, self.cinder._derive(self.both, 'q').id)
        self.assertEqual({'p', 'q'}, self.client.access[theirs.id])

    def test_derive_fails_if_switched_off(self):
        self.conf.set_override('derive_volume_types', False,
                               group=opts.GROUP)
        error = self.assertRaises(
            errors.BadRequest, self.cinder.volume_type, self.both, 'p')
        self.assertIn('feature:require="ssd & db"', error.message)

    def test_derive_fails_beyond_the_limit(self):
        self.conf.set_override('max_derived_types', 1, group=opts.GROUP)
        self.cinder.volume_type(self.both, 'p')
        self.assertRaises(
            errors.BadRequest, self.cinder.volume_type,
            features.parse_expression('ssd & !db'), 'p')

    def test_derived_type_without_its_spec_does_not_stay(self):
        def breaks(_self, _specs):
            raise cinder_exceptions.ClientException(500)

        self.client.create = lambda name, _d, is_public: (
            self.client.found.setdefault('9', type(
                'Broken', (Volume,), {'set_keys': breaks})('9', name, False)))
        self.assertRaises(
            errors.NotReady, self.cinder.volume_type, self.both, 'p')
        self.assertEqual({}, self.client.found)
