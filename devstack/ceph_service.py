# SPDX-License-Identifier: Apache-2.0
"""One Ceph cluster of the DevStack plugin, as a service in the foreground.

    python -m devstack.ceph_service DIRECTORY NAME [--size GIB]

Makes the cluster at the first start, and keeps its data at the end, which
SIGTERM or SIGINT brings.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
import signal
import sys

from devstack.sandbox.ceph import CephCluster


def main(argv: Sequence[str] | None = None) -> int:
    """Run until told to stop."""
    parser = argparse.ArgumentParser(prog='devstack.ceph_service')
    parser.add_argument('directory', type=Path)
    parser.add_argument('name')
    parser.add_argument('--size', type=int, default=32, metavar='GIB')
    arguments = parser.parse_args(argv)
    # Blocked first, so that one that comes early is not lost; daemons
    # inherit no block, since they are ended by SIGKILL anyway.
    ends = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    with CephCluster(arguments.directory, arguments.name,
                     size_gib=arguments.size):
        print(f'{arguments.name} serves', flush=True)
        signal.sigwait(ends)
    return 0


if __name__ == '__main__':
    sys.exit(main())
