# SPDX-License-Identifier: Apache-2.0
"""Print what was measured, and keep it as JSON."""

from collections.abc import Sequence
import dataclasses
import json
from pathlib import Path
import statistics

RESULTS = Path(__file__).parent / 'results'


@dataclasses.dataclass
class Case:
    """One kind of work, done by both.

    :param ours: one number per run
    :param peer: the same of the peer
    :param peer_name: who that is
    """

    case: str
    ours: list[float]
    peer: list[float]
    peer_name: str

    def ratio(self, less_is_better: bool) -> float:
        """Return how many times better our median is."""
        ours, peer = map(statistics.median, (self.ours, self.peer))
        return peer / ours if less_is_better else ours / peer


def complete(case: Case) -> Case:
    """Return a case without the run that was broken off."""
    runs = min(len(case.ours), len(case.peer))
    return dataclasses.replace(case, ours=case.ours[:runs],
                               peer=case.peer[:runs])


def merged(name: str, cases: Sequence[Case], add: bool) -> list[Case]:
    """Put cases among those that were measured before, in their place.

    :param add: runs of a case that is known are added to it, for a
        measurement taken in several parts
    """
    path = RESULTS / f'{name}.json'
    known = [Case(old['case'], old['ours'], old['peer'], old['peer_name'])
             for old in (json.loads(path.read_text())['cases']
                         if path.exists() else ())]
    places = {(case.case, case.peer_name): at
              for at, case in enumerate(known)}
    for case in cases:
        at = places.get((case.case, case.peer_name))
        if at is None:
            known.append(case)
        elif add:
            known[at] = dataclasses.replace(
                case, ours=known[at].ours + case.ours,
                peer=known[at].peer + case.peer)
        else:
            known[at] = case
    return known


def report(name: str, unit: str, cases: Sequence[Case], *,
           less_is_better: bool = True) -> None:
    """Print a table and write ``results/NAME.json``."""
    width = max(len(case.case) for case in cases)
    print(f'\n{name}, {unit}: min / median / max')
    for case in cases:
        print(f'  {case.case:{width}}  ours {spread(case.ours)}   '
              f'{case.peer_name} {spread(case.peer)}   '
              f'ratio {case.ratio(less_is_better):.2f} '
              f'({len(case.ours)} runs)')
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f'{name}.json').write_text(json.dumps({
        'unit': unit,
        'cases': [{**dataclasses.asdict(case),
                   'ours': _rounded(case.ours), 'peer': _rounded(case.peer),
                   'ratio_median': round(case.ratio(less_is_better), 2)}
                  for case in cases]}, indent=1) + '\n')


def spread(numbers: Sequence[float]) -> str:
    """Minimum, median and maximum."""
    three = (min(numbers), statistics.median(numbers), max(numbers))
    return ' / '.join(f'{number:.4g}' for number in three)


def _rounded(numbers: Sequence[float]) -> list[float]:
    return [float(f'{number:.5g}') for number in numbers]
