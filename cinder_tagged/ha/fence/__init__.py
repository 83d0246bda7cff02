# SPDX-License-Identifier: Apache-2.0
"""Keep a node alive that lost the SAN under a shared volume group.

sanlock resets a node that cannot renew its leases.  This room cuts the
logical volumes off the lost storage first (error targets), lets lvmlockd
drop the locks only after the kernel shows the cut, and so spares the node
and everything on it that never needed that SAN.

``core`` decides and touches nothing; ``adapters`` bind one tool each;
``fencer`` and ``watcher`` join the two and are what an agent calls.
"""
