# SPDX-License-Identifier: Apache-2.0
"""The page on compatibility shows what tools/tempest kept."""

import json
import pathlib
import sys
from unittest import mock

from docutils import core
from docutils.parsers.rst import directives
import fixtures
from oslotest import base

_ROOT = pathlib.Path(__file__).parents[3]


class TempestResultsTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        with mock.patch.object(
                sys, 'path', [str(_ROOT / 'doc' / 'ext'), *sys.path]):
            import tempest_results
        self.path = pathlib.Path(
            self.useFixture(fixtures.TempDir()).path, 'tempest.json')
        self.useFixture(fixtures.MockPatchObject(
            tempest_results, 'PATH', self.path))
        directives.register_directive('tempest', tempest_results.Tempest)

    def page(self):
        return core.publish_string('.. tempest::\n', writer_name='pseudoxml',
                                   settings_overrides={'halt_level': 2}
                                   ).decode()

    def test_before_it_was_run(self):
        self.assertIn('has not been run', self.page())

    def test_tables(self):
        name = 'tempest.api.volume.test_a.TestA.test_'
        run = {name + 'a': 'ok', name + 'b': 'SKIPPED: no backup'}
        self.path.write_text(json.dumps({
            'versions': ['tempest==47.0.0'],
            'runs': {'stock': run, 'tagged': run}}))
        page = self.page()
        for text in ('tempest==47.0.0', 'tempest.api.volume', 'no backup'):
            self.assertIn(text, page)
