# SPDX-License-Identifier: Apache-2.0
"""From fresh machines to the state that every run starts from.

Both nodes have two paths to two LUNs and are in the lockspace of volume
group "vg".  Leases lie on san1.  Node 1 holds "one" (on san2) and "two"
(on san1) exclusively; "spare" (on san1) is nobody's.
"""

import itertools

from devstack.fence_lab.machine import each
from devstack.fence_lab.machine import Machine
from devstack.fence_lab.san import IQN
from devstack.fence_lab.san import PORTS
from devstack.sandbox.process import wait_until

VG = 'vg'
VOLUMES = {'one': 'san2', 'two': 'san1', 'spare': 'san1'}
MAPS = ('san1', 'san2')


def connect(node: Machine) -> None:
    """Log in over both networks, let multipath make its maps."""
    node.sh('iscsid && multipathd', deadline=400)
    for network, port in zip((2, 3), PORTS, strict=True):
        portal = f'10.0.{network}.2:{port}'
        # Discovery would name 127.0.0.1, the portal as the SAN sees it.
        node.sh(f'iscsiadm -m node -o new -T {IQN} -p {portal} && '
                f'iscsiadm -m node -T {IQN} -p {portal} --login',
                deadline=400)
    wait_until(lambda: paths(node) == {'san1': 2, 'san2': 2}, 600,
               f'paths of node{node.number}', interval=0.5)


def paths(node: Machine) -> dict[str, int]:
    """Return how many paths of each map the kernel finds active."""
    said = node.run('dmsetup', 'status', '--noflush', '--target',
                    'multipath').out
    found = {}
    for line in said.splitlines():
        name, _, rest = line.partition(': ')
        words = rest.split()
        found[name] = sum(
            ':' in a and b == 'A'
            for a, b in itertools.pairwise(words))
    return found


def lock_daemons(node: Machine, io_timeout: int) -> None:
    node.sh('wdmd && sanlock daemon -U root -G root && '
            f'lvmlockd --sanlock-timeout {io_timeout}', deadline=400)
    wait_until(lambda: node.run('lvmlockctl', '-i', check=False).code == 0,
               300, 'lvmlockd')


def make_group(node: Machine) -> None:
    """Write the leases and volumes, once for ever after."""
    node.sh(f'vgcreate --shared {VG} /dev/mapper/san1 /dev/mapper/san2',
            deadline=1200)
    node.sh(f'vgchange --lock-start {VG}', deadline=400)
    for name, device in VOLUMES.items():
        node.sh(f'lvcreate -qq -an -L 16m -n {name} {VG} '
                f'/dev/mapper/{device}', deadline=400)


def join(node: Machine) -> None:
    # It may come before udev has told the node of the new group.
    wait_until(lambda: node.sh(f'vgchange --lock-start {VG}', check=False,
                               deadline=400).code == 0, 600,
               f'node{node.number} in the lockspace', interval=1)


def prepare(nodes: list[Machine], io_timeout: int) -> None:
    each(nodes, connect)
    each(nodes, lambda node: lock_daemons(node, io_timeout))
    make_group(nodes[0])
    each(nodes[1:], join)
    for name in ('one', 'two'):
        nodes[0].sh(f'lvchange -aey {VG}/{name}', deadline=400)
