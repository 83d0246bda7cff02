# SPDX-License-Identifier: Apache-2.0
"""What two runs of the same tests came to, side by side. Pure."""

from collections import Counter
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import re

#: Name of a test -> "ok", "FAILED", or "SKIPPED: " and why.
Run = Mapping[str, str]

# {0} tempest.api.volume.test_x.TestX.test_y[id-1,smoke] [1.5s] ... ok
# {1} setUpClass (tempest.api.volume.test_x.TestX) [0.0s] ... SKIPPED: why
_LINE = re.compile(r'^\{\d+\} (?:\w+Class \()?(?P<name>[\w.]+)'
                   r'.* \.\.\. (?P<end>ok|FAILED|SKIPPED.*)$')


def read_line(line: str) -> tuple[str, str] | None:
    """Return the test that a line of Tempest's output tells the end of.

    A class that was skipped, or broke, as a whole has its own name.

    :returns: name and end, or None
    """
    match = _LINE.match(line.rstrip())
    return (match['name'], match['end']) if match else None


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Two runs.

    :ivar worse: tests that pass with stock and do not with tags
    :ivar better: the reverse
    """

    stock: Run
    tagged: Run

    @property
    def worse(self) -> list[str]:
        return self._differ(self.stock, self.tagged)

    @property
    def better(self) -> list[str]:
        return self._differ(self.tagged, self.stock)

    @staticmethod
    def _differ(one: Run, other: Run) -> list[str]:
        return sorted(name for name, end in one.items()
                      if end == 'ok' and other.get(name) != 'ok')

    @property
    def failed(self) -> list[str]:
        """Tests that fail with both."""
        return sorted(name for name, end in self.stock.items()
                      if end == self.tagged.get(name) == 'FAILED')

    def skipped(self) -> list[tuple[str, str, str]]:
        """Return for each reason how many tests or classes it skipped."""
        counts = [Counter(end for end in run.values()
                          if end.startswith('SKIPPED'))
                  for run in (self.stock, self.tagged)]
        return [(why.removeprefix('SKIPPED: '),
                 *(str(count[why]) for count in counts))
                for why in sorted({*counts[0], *counts[1]})]

    def rows(self) -> list[tuple[str, ...]]:
        """Return a row for each group of tests, and one for all."""
        groups: dict[str, list[str]] = {}
        for name in sorted({*self.stock, *self.tagged}):
            groups.setdefault(_group(name), []).append(name)
        return [*(self._row(group, names)
                  for group, names in groups.items()),
                self._row('all', list({*self.stock, *self.tagged}))]

    def _row(self, title: str, names: Sequence[str]) -> tuple[str, ...]:
        def counts(run: Run) -> tuple[str, ...]:
            found = Counter(run.get(name, 'not run').partition(':')[0]
                            for name in names)
            return tuple(str(found[end])
                         for end in ('ok', 'FAILED', 'SKIPPED'))
        return title, *counts(self.stock), *counts(self.tagged)


def _group(name: str) -> str:
    """Return the part of Tempest that a test is of."""
    words = [word for word in name.split('.') if word.islower()
             and not word.startswith('test_')]
    return '.'.join(words[:4])


HEAD = ('TESTS', 'STOCK PASSED', 'FAILED', 'SKIPPED', 'TAGGED PASSED',
        'FAILED', 'SKIPPED')
WHY_HEAD = ('SKIPPED BECAUSE', 'STOCK', 'TAGGED')


def table(head: Sequence[str], rows: Sequence[tuple[str, ...]]) -> str:
    """Return rows as text."""
    widths = [max(len(row[i]) for row in [head, *rows])
              for i in range(len(head))]
    return '\n'.join('  '.join(
        cell.ljust(width) if i == 0 else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(row, widths, strict=True)))
        for row in [head, *rows])


def text(compared: Comparison) -> str:
    """Return all there is to tell of two runs."""
    blocks = [table(HEAD, compared.rows()),
              table(WHY_HEAD, compared.skipped())]
    for title, names in (('failed with both', compared.failed),
                         ('passed with stock only', compared.worse),
                         ('passed with tagged only', compared.better)):
        if names:
            blocks.append('\n  '.join([f'{title}:', *names]))
    return '\n\n'.join(blocks)
