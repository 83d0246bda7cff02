# SPDX-License-Identifier: Apache-2.0
"""Asks for a seed, from a process of its own, as another host would.

Arguments: the directory of the cluster, the name of the image, and a job
that names the source. Prints the record.
"""

import sys

from cinder_tagged.copy import spec
from devstack.sandbox.ceph import CephCluster
from tests.functional.copying import base


def main() -> None:
    """Ask."""
    directory, name, line = sys.argv[1:]
    job = spec.load(line)
    seeds = base.seeds_of(CephCluster(directory))
    print(seeds.ensure(base.original(name, job.source)).dump())


if __name__ == '__main__':
    main()
