# SPDX-License-Identifier: Apache-2.0
"""The directive ``tempest``: tables of benchmarks/results/tempest.json.

That is what ``tools/tempest --keep`` wrote.
"""

import json
from typing import Any

import benchmark_results
from docutils import nodes
from docutils.parsers.rst import Directive

from devstack.tempest import results

PATH = benchmark_results.RESULTS / 'tempest.json'
_HEADERS = ('tests', 'stock: passed', 'failed', 'skipped',
            'tagged: passed', 'failed', 'skipped')


class Tempest(Directive):
    """What passed, with stock and tagged, and why tests were skipped."""

    def run(self) -> list[nodes.Node]:
        self.state.document.settings.record_dependencies.add(str(PATH))
        if not PATH.exists():
            return [nodes.note('', nodes.paragraph(
                text='No results are kept yet: this has not been run.'))]
        try:
            found = json.loads(PATH.read_text())
            compared = results.Comparison(found['runs']['stock'],
                                          found['runs']['tagged'])
        except (OSError, ValueError, KeyError) as exc:
            raise self.error(f'{PATH.name}: {exc!r}') from exc
        return [
            benchmark_results.table(', '.join(found['versions']), _HEADERS,
                                    (40, 10, 10, 10, 10, 10, 10),
                                    compared.rows()),
            benchmark_results.table(
                'Tests, and classes of tests, that were skipped, and why',
                ('because', 'stock', 'tagged'), (80, 10, 10),
                compared.skipped())]


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_directive('tempest', Tempest)
    return {'parallel_read_safe': True}
