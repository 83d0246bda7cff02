# SPDX-License-Identifier: Apache-2.0
"""Play the loss of a SAN: tools/demo --fence [--no-stock]."""

import argparse
import logging
import sys
import time

from devstack.fence_lab.demo import demo
from devstack.fence_lab.demo import Say
from devstack.sandbox.process import SandboxError


class Progress(logging.Handler):
    """What the lab logs while it is built is part of the story."""

    def __init__(self, say: Say) -> None:
        super().__init__()
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        self._say(record.getMessage())


def main() -> int:
    parser = argparse.ArgumentParser(
        prog='tools/demo --fence', description='Two emulated machines on one '
        'SAN; one loses it. See what happens without and with '
        'cinder-tagged-fence. The first call builds the machines (some four '
        'minutes), the story takes seven to nine.')
    parser.add_argument('--no-stock', action='store_true',
                        help='only with fencing, some four minutes')
    chosen = parser.parse_args()
    began = time.monotonic()

    def say(text: str) -> None:
        print(f'[{time.monotonic() - began:5.0f} s] {text}', flush=True)
    logging.basicConfig(level=logging.INFO, handlers=[Progress(say)])
    try:
        return demo(say, stock=not chosen.no_stock)
    except SandboxError as error:
        print(f'error: {error}', file=sys.stderr)
        return 1


if __name__ == '__main__':
    sys.exit(main())
