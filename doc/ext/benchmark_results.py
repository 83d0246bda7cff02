# SPDX-License-Identifier: Apache-2.0
"""The directive ``benchmark``: a table of one file of benchmarks/results.

    .. benchmark:: volume_ops

Figures on the page are so those that were measured, never typed in.
"""

from collections.abc import Iterable
from collections.abc import Sequence
import json
import pathlib
import statistics
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive

RESULTS = pathlib.Path(__file__).parents[2] / 'benchmarks' / 'results'
_HEADERS = ('case', 'ours', 'peer', 'times better')


def number(value: float) -> str:
    """Write a figure with three digits that matter."""
    if value >= 100:
        return f'{value:,.0f}'
    return f'{value:.2f}' if value >= 1 else f'{value:.3g}'


def spread(runs: list[float]) -> str:
    """Write median, and the least and greatest of all runs."""
    return (f'{number(statistics.median(runs))} '
            f'({number(min(runs))}-{number(max(runs))})')


def rows(name: str) -> tuple[str, list[tuple[str, str, str, str]]]:
    """Return the unit, and a row for each case.

    :raises FileNotFoundError: there are no such results
    """
    found = json.loads((RESULTS / f'{name}.json').read_text())
    return found['unit'], [
        (case['case'], spread(case['ours']),
         f'{case["peer_name"]}: {spread(case["peer"])}',
         '-' if case['ratio_median'] is None
         else number(case['ratio_median']))
        for case in found['cases']]


class Benchmark(Directive):
    """One table."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        path = RESULTS / f'{self.arguments[0]}.json'
        self.state.document.settings.record_dependencies.add(str(path))
        try:
            unit, cases = rows(self.arguments[0])
        except (OSError, ValueError, KeyError) as exc:
            raise self.error(f'{path.name}: {exc!r}') from exc
        return [table(f'In {unit}: median (least-greatest)', _HEADERS,
                      (34, 22, 32, 12), cases)]


def table(title: str, headers: Sequence[str], widths: Sequence[int],
          cases: Iterable[Sequence[str]]) -> nodes.table:
    """Return a table.

    :param widths: of the columns, in percent
    """
    group = nodes.tgroup(cols=len(headers))
    group += [nodes.colspec(colwidth=width) for width in widths]
    head, body = nodes.thead(), nodes.tbody()
    head += _row(headers)
    body += [_row(case) for case in cases]
    group += [head, body]
    made = nodes.table()
    made += [nodes.title(text=title), group]
    return made


def _row(texts: Sequence[str]) -> nodes.row:
    row = nodes.row()
    for text in texts:
        entry = nodes.entry()
        entry += nodes.paragraph(text=text)
        row += entry
    return row


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_directive('benchmark', Benchmark)
    return {'parallel_read_safe': True}
