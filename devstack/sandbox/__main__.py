# SPDX-License-Identifier: Apache-2.0
"""Run parts of the sandbox by hand: python -m devstack.sandbox ceph."""

import argparse
import time

from devstack.sandbox.ceph import CephCluster
from devstack.sandbox.ceph import start_all


def _ceph(arguments: argparse.Namespace) -> None:
    """Start clusters, print how to reach them, stop them on Ctrl-C."""
    began = time.monotonic()
    clusters = [CephCluster(name=name) for name in arguments.name]
    start_all(clusters)
    try:
        for cluster in clusters:
            print(f'{cluster.name}: fsid {cluster.fsid}, '
                  f'ceph -c {cluster.conf} -s')
        print(f'up in {time.monotonic() - began:.1f} s; Ctrl-C stops them')
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        print('stopping')
    finally:
        for cluster in clusters:
            cluster.stop()


def main() -> None:
    """Parse the command line and do what it asks."""
    parser = argparse.ArgumentParser(prog='python -m devstack.sandbox')
    commands = parser.add_subparsers(required=True)
    ceph = commands.add_parser('ceph', help='Ceph clusters alone')
    ceph.add_argument('name', nargs='*', default=['ceph'])
    ceph.set_defaults(run=_ceph)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == '__main__':
    main()
