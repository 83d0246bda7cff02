# SPDX-License-Identifier: Apache-2.0
"""Run seeded simulations: python -m cinder_tagged.ha.sim --seeds 10000."""

import argparse
import collections
import sys
import time

from cinder_tagged.ha.sim import schedule


def main() -> int:
    """Run the seeds; exit 1 and name the seed if an invariant broke."""
    parser = argparse.ArgumentParser(prog='python -m cinder_tagged.ha.sim')
    parser.add_argument('--first', type=int, default=0)
    parser.add_argument('--seeds', type=int, default=200)
    options = parser.parse_args()
    kinds: collections.Counter[str] = collections.Counter()
    moves, broken, begin = 0, 0, time.monotonic()
    for seed in range(options.first, options.first + options.seeds):
        try:
            outcome = schedule.run(seed)
        except AssertionError as exc:
            broken += 1
            print(f'seed {seed}: {exc}')
            continue
        kinds.update(outcome.faults)
        moves += outcome.moves
    print(f'{options.seeds} runs, {broken} broken, {sum(kinds.values())} '
          f'faults of {len(kinds)} kinds, {moves} moves, '
          f'{time.monotonic() - begin:.1f} s')
    return 1 if broken else 0


if __name__ == '__main__':
    sys.exit(main())
