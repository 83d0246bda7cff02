# SPDX-License-Identifier: Apache-2.0
"""The performance page: each of its tables shows every case measured."""

import importlib.util
import json
import pathlib
import re

from oslotest import base

_ROOT = pathlib.Path(__file__).parents[3]
_PAGE = _ROOT / 'doc' / 'source' / 'performance.rst'


def _extension():
    spec = importlib.util.spec_from_file_location(
        'benchmark_results', _ROOT / 'doc' / 'ext' / 'benchmark_results.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class BenchmarkResultsTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.extension = _extension()
        self.shown = re.findall(r'^\.\. benchmark:: (\w+)$',
                                _PAGE.read_text(), re.MULTILINE)

    def test_every_table_has_its_result(self):
        there = {path.stem for path in self.extension.RESULTS.glob('*.json')}
        self.assertTrue(self.shown)
        self.assertEqual(set(), set(self.shown) - there)

    def test_every_case_is_in_its_table(self):
        for name in self.shown:
            unit, rows = self.extension.rows(name)
            cases = json.loads((self.extension.RESULTS / f'{name}.json')
                               .read_text())['cases']
            self.assertTrue(unit)
            self.assertEqual([case['case'] for case in cases],
                             [row[0] for row in rows])

    def test_figures(self):
        self.assertEqual(
            ['1,234', '123', '1.50', '0.0123'],
            [self.extension.number(n) for n in (1234, 123.4, 1.5, 0.0123)])
        self.assertEqual('2.00 (1.00-9.00)',
                         self.extension.spread([9, 1, 2]))
