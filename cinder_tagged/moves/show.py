# SPDX-License-Identifier: Apache-2.0
"""Plans and progress as text for people. Pure."""

from collections.abc import Sequence

from cinder_tagged.cli import report
from cinder_tagged.moves import model

_BAR = 30
# More rows say less.
_MOST_ROWS = 40
_DONE = (model.State.MOVED, model.State.GONE, model.State.FAILED)


def plan(shown: model.Plan, everything: bool = False) -> str:
    """Return a plan, or what has become of it.

    :param everything: show each volume, however many there are
    """
    blocks = [f'{shown.title}: {_volumes(len(shown.moves))} to move, '
              f'{shown.amount(*model.State)} GiB']
    if shown.moves:
        blocks.append(_table(
            ('Volume', 'Name', 'GiB', 'From', 'To', 'State', ''),
            [(m.volume, m.name, str(m.size_gb), report.service_of(m.source),
              report.service_of(m.target), m.state.value, m.why)
             for m in shown.moves],
            everything))
    if shown.left:
        blocks.append(f'{_volumes(len(shown.left))} left where they are:\n'
                      + _reasons(shown.left, everything))
    if shown.aside:
        blocks.append(f'{_volumes(len(shown.aside))} cannot be moved and '
                      'took no part' + (
                          f':\n{_reasons(shown.aside, True)}' if everything
                          else ' (--all shows them)'))
    if shown.shares:
        blocks.append(_table(
            ('Cluster', 'Weight', 'Holds GiB', 'Then GiB', 'Per weight',
             'Then'), [_share(share) for share in shown.shares], True))
    return '\n\n'.join(blocks)


def _reasons(volumes: Sequence[model.Left], everything: bool) -> str:
    return _table(('Volume', 'Name', 'GiB', 'On', 'Because'),
                  [(v.volume, v.name, str(v.size_gb),
                    report.service_of(v.source), v.why)
                   for v in volumes], everything)


def _share(share: model.Share) -> tuple[str, ...]:
    def per_weight(load: float) -> str:
        return f'{load / share.weight:.0f}' if share.weight else '-'
    return (share.cluster, f'{share.weight:g}', f'{share.before_gb:.0f}',
            f'{share.after_gb:.0f}', per_weight(share.before_gb),
            per_weight(share.after_gb))


def _volumes(count: int) -> str:
    return f'{count} volume{"s" * (count != 1)}'


def _table(head: Sequence[str], rows: Sequence[Sequence[str]],
           everything: bool) -> str:
    shown = list(rows) if everything else list(rows[:_MOST_ROWS])
    widths = [max(len(row[i]) for row in [head, *shown])
              for i in range(len(head))]
    lines = ['  '.join(cell.ljust(width) for cell, width
                       in zip(row, widths, strict=True)).rstrip()
             for row in [head, *shown]]
    if len(rows) > len(shown):
        lines.append(f'... and {len(rows) - len(shown)} more (--all shows '
                     'them)')
    return '\n'.join('  ' + line for line in lines)


def bar(shown: model.Plan, now: float) -> str:
    """Return one line of progress.

    :param now: UNIX time
    """
    total = shown.amount(*model.State)
    done = shown.amount(*_DONE)
    part = done / total if total else 1.0
    filled = int(part * _BAR)
    said = [f'[{"#" * filled}{"." * (_BAR - filled)}] {part:4.0%}',
            f'{shown.count(model.State.MOVED)} of {len(shown.moves)} moved',
            f'{shown.amount(model.State.MOVED)} of {total} GiB']
    for state, word in ((model.State.MOVING, 'under way'),
                        (model.State.FAILED, 'failed'),
                        (model.State.GONE, 'not needed any more')):
        if count := shown.count(state):
            said.append(f'{count} {word}')
    if remaining := _remaining(shown, now):
        said.append(f'about {remaining} left')
    return ', '.join(said)


def _remaining(shown: model.Plan, now: float) -> str:
    begun = [m.began for m in shown.moves if m.ended and m.began]
    moved = shown.amount(model.State.MOVED)
    rest = shown.amount(model.State.PLANNED, model.State.MOVING)
    if not begun or not moved or not rest:
        return ''
    seconds = (now - min(begun)) / moved * rest
    if seconds < 90:
        return f'{seconds:.0f} s'
    if seconds < 90 * 60:
        return f'{seconds / 60:.0f} min'
    return f'{seconds / 3600:.1f} h'
