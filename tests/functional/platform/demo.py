# SPDX-License-Identifier: Apache-2.0
"""A platform follows its volume, for a person to watch.

tools/demo --platform: the lab of the tests, one fault after the other, and a
picture of which server acknowledged stamps when.
"""

import argparse
from collections.abc import Callable
from collections.abc import Sequence
import sys
import time

from tests.functional.ha import lab as labs
from tests.functional.platform import faults
from tests.functional.platform import lab as platform

Say = Callable[[str], None]

_SETTING = """\
three servers with cinder-tagged-ha, etcd and podman, and a Ceph
          cluster beside them. A container writes numbered stamps to an RBD
          volume, forces each to the disk and then acknowledges it. It runs
          on one server at a time, with the volume."""
#: Seconds that one character of a picture stands for, and of them before and
#: after what is measured.
GRAIN, AROUND = 0.25, 1.0
WIDTH = 64


def picture(acked: Sequence[Sequence[str]], names: Sequence[str],
            begin: float, end: float) -> list[str]:
    """Draw a line per server: where stamps were acknowledged.

    :param acked: words of each stamp: number, epoch, server, time (s)
    :param names: of the servers
    :param begin: time of the fault, s; marked in the scale
    :param end: time of the last stamp to be seen, s
    """
    first = begin - AROUND
    grain = max(GRAIN, (end + AROUND - first) / WIDTH)
    count = int((end + AROUND - first) / grain) + 1
    rows = {name: ['.'] * count for name in names}
    for words in acked:
        place = int((float(words[3]) - first) / grain)
        if 0 <= place < count and words[2] in rows:
            rows[words[2]][place] = '#'
    mark = int(AROUND / grain)
    lines = [f'{name}  {"".join(row)}' for name, row in rows.items()]
    return [*lines, ' ' * (4 + mark) + f'^ 0 s, {grain:.2f} s a character']


def play(say: Say, chosen: Sequence[str]) -> int:
    """Do the faults; return an exit status."""
    say('The lab: ' + _SETTING)
    wrong = []
    rows = []
    with platform.PlatformLab() as lab:
        trials = faults.Faults(lab)
        names = [node.name for node in lab.lab.nodes]
        for name in chosen:
            before = lab.steady()
            say(f'== {name}, while {before.name} has the volume')
            trial = trials.trial(name)
            for line in picture(lab.acked(), names, *trial.hole):
                print(f'          {line}', flush=True)
            now = lab.runs_on()
            rows.append((name, before.name, now, trial))
            wrong += trial.wrong
        holder = lab.steady()
        labs.wait_for(lambda: lab.status(holder).get('row') == 'running',
                      'the keeper says so')
        time.sleep(1)  # until each server has told
        say('cinder-tagged-platform status')
        print(lab.command(lab.lab.nodes[0], 'status').stdout, end='')
    _tell(rows)
    for text in wrong:
        print(f'WRONG: {text}')
    return 1 if wrong else 0


def _tell(rows: Sequence[tuple[str, str, str, faults.Trial]]) -> None:
    print(f'{"fault":20} {"from":>5} {"to":>5} {"back after":>11}  '
          'stamps lost, two writers, two containers')
    for name, before, now, trial in rows:
        print(f'{name:20} {before:>5} {now:>5} {trial.seconds:>9.1f} s  '
              + ('; '.join(trial.wrong) or 'none'))


def main() -> int:
    parser = argparse.ArgumentParser(
        prog='tools/demo --platform', description='A container on a volume '
        'of the block storage follows its server through faults; one '
        'minute.')
    parser.add_argument('fault', nargs='*', help=(
        f'which, of: {", ".join(faults.NAMES)}; all by default'))
    chosen = parser.parse_args().fault or faults.NAMES
    if unknown := set(chosen) - set(faults.NAMES):
        parser.error(f'no such fault: {", ".join(sorted(unknown))}; choose '
                     f'of {", ".join(faults.NAMES)}')
    began = time.monotonic()

    def say(text: str) -> None:
        print(f'[{time.monotonic() - began:5.0f} s] {text}', flush=True)
    return play(say, chosen)


if __name__ == '__main__':
    sys.exit(main())
