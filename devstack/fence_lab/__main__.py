# SPDX-License-Identifier: Apache-2.0
"""Play the loss of a SAN: python -m devstack.fence_lab [--no-stock]."""

import logging
import sys
import time

from devstack.fence_lab.demo import demo


def main() -> int:
    logging.basicConfig(level=logging.INFO, format='%(message)s')
    began = time.monotonic()

    def say(text: str) -> None:
        print(f'[{time.monotonic() - began:5.0f} s] {text}', flush=True)
    return demo(say, stock='--no-stock' not in sys.argv)


if __name__ == '__main__':
    sys.exit(main())
