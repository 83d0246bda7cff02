# SPDX-License-Identifier: Apache-2.0
"""The story for a person to watch: stock resets, fenced lives."""

from collections.abc import Callable

from devstack.fence_lab import scenario
from devstack.fence_lab.lab import Lab

Say = Callable[[str], None]

_SETTING = """\
two machines share a volume group on a SAN, over two paths each; node 1 has
          the volume "one" and writes to it, and to a network disk that is
          not on the SAN. Then both of its SAN cables are pulled. Times from
          here on (+) are seconds after that."""
ROWS = (
    ('last path lost', 'paths_lost'),
    ('node 1 reset by its watchdog', 'node_reset'),
    ('I/O on the volume ended', 'io_ended'),
    ('locks of node 1 dropped', 'locks_dropped'),
    ('node 2 has the volume', 'peer_active'),
    ('longest gap on the other disk', 'other_gap'),
    ('blocks written late by node 1', 'late_blocks'),
    ('node 1 recovered, without reboot, in', 'recovered'))


def demo(say: Say = print, stock: bool = True) -> int:
    """Play the loss of a SAN; return an exit status.

    :param stock: show first what happens without fencing (it takes the
        watchdog's two minutes and more).
    """
    say('The lab: ' + _SETTING)
    runs = []
    if stock:
        say('== 1. without fencing: LVM, sanlock and watchdog alone')
        with Lab() as lab:
            runs.append(scenario.stock(lab, say))
    say('== with cinder-tagged-fence watching on node 1'
        if not stock else '== 2. with cinder-tagged-fence watching on node 1')
    with Lab() as lab:
        runs.append(scenario.fenced(lab, say))
        say('what it logged on node 1:')
        for line in logged(lab.one.console_text()):
            print(f'          {line}', flush=True)
    say('seconds after the cables were pulled')
    for line in table(runs):
        print(f'  {line}', flush=True)
    kept = runs[-1]
    good = kept.node_reset is None and kept.late_blocks == 0
    say('node 1 lives; everything is stopped and removed' if good
        else 'node 1 was not saved as it should be')
    return 0 if good else 1


def logged(console: str) -> list[str]:
    """Return the command's own lines, from its time on."""
    found = []
    for line in console.splitlines():
        stamp, mark, rest = line.partition(' WARNING cinder_tagged.')
        if mark:
            found.append(f'{stamp[11:23]} {rest.partition("[-] ")[2]}')
    return found


def table(runs: list[scenario.Result]) -> list[str]:
    """Return a line per thing to know, a column per run."""
    names = {'stock': 'without', 'watcher': 'with fencing'}
    lines = [f'{"":36}' + ''.join(f'{names[r.kind]:>14}' for r in runs)]
    for text, name in ROWS:
        cells = [getattr(run, name) for run in runs]
        lines.append(f'{text:36}' + ''.join(
            f'{"-" if cell is None else format(cell, ".5g"):>14}'
            for cell in cells))
    return lines
