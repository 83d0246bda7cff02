# SPDX-License-Identifier: Apache-2.0
"""What the kernel does for the agent, even if the agent is frozen or dead.

The gate: an nftables table on the netdev hooks of a role's interface drops
everything to and from its addresses, unless a set holds the address.  The
set's element has a timeout, so the kernel shuts the gate by itself.  The
address: it has a lifetime that is renewed, so it leaves the NIC by itself.
"""

import ctypes
import errno
import ipaddress
import threading
import time

from oslo_log import log as logging
import pyroute2
from pyroute2.netlink import exceptions as nlerrors

LOG = logging.getLogger(__name__)

TABLE = 'cinder_tagged_ha'
#: Seconds that an address stays without the agent: the second line behind
#: the gate, in whole seconds because the kernel counts so.
LIFETIME = 4
#: A longer pause (s) around the system call voids the timeout it set.
GRAIN = 0.01

Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface


class KernelError(Exception):
    """The kernel refused; the text says what and why."""


class Nft:
    """libnftables in this process: no fork for each renewal."""

    def __init__(self) -> None:
        try:
            lib = ctypes.CDLL('libnftables.so.1')
        except OSError as exc:
            raise KernelError('libnftables.so.1 is missing: install the '
                              f'package libnftables1 ({exc})') from exc
        lib.nft_ctx_new.restype = ctypes.c_void_p
        lib.nft_ctx_new.argtypes = [ctypes.c_uint32]
        for name in ('nft_ctx_buffer_output', 'nft_ctx_buffer_error'):
            getattr(lib, name).argtypes = [ctypes.c_void_p]
        lib.nft_ctx_get_error_buffer.restype = ctypes.c_char_p
        lib.nft_ctx_get_error_buffer.argtypes = [ctypes.c_void_p]
        lib.nft_run_cmd_from_buffer.argtypes = [
            ctypes.c_void_p, ctypes.c_char_p]
        self._lib = lib
        self._context = lib.nft_ctx_new(0)
        lib.nft_ctx_buffer_output(self._context)
        lib.nft_ctx_buffer_error(self._context)
        self._lock = threading.Lock()

    def run(self, commands: str) -> None:
        """Run commands as one transaction; :raises KernelError: if not."""
        with self._lock:
            code = self._lib.nft_run_cmd_from_buffer(
                self._context, commands.encode())
            text = self._lib.nft_ctx_get_error_buffer(self._context)
        if code:
            first = (text or b'').decode(errors='replace').strip()
            raise KernelError(first.splitlines()[0] if first else 'nft failed')


def set_name(role: str, address: Interface) -> str:
    """Name of the set that opens one address of a role."""
    return f'open{address.version}_{role}'


def ruleset(roles: dict[str, tuple[str, tuple[Interface, ...]]]) -> str:
    """Commands that replace the table: {role: (interface, addresses)}."""
    lines = [f'add table netdev {TABLE}', f'delete table netdev {TABLE}',
             f'table netdev {TABLE} {{']
    into: dict[str, list[str]] = {}
    outof: dict[str, list[str]] = {}
    for role, (device, addresses) in roles.items():
        for address in addresses:
            name, ip = set_name(role, address), address.ip
            family = 'ip' if address.version == 4 else 'ip6'
            lines.append(f' set {name} {{ type ipv{address.version}_addr; '
                         'flags timeout; }')
            into.setdefault(device, []).append(
                f'  {family} daddr {ip} {family} daddr != @{name} drop')
            rules = outof.setdefault(device, [])
            rules.append(
                f'  {family} saddr {ip} {family} saddr != @{name} drop')
            if address.version == 4:
                rules.append(
                    f'  arp saddr ip {ip} arp saddr ip != @{name} drop')
    for hook, rules_of in (('ingress', into), ('egress', outof)):
        for number, (device, rules) in enumerate(rules_of.items()):
            lines += [f' chain {hook}_{number} {{',
                      f'  type filter hook {hook} device "{device}" '
                      'priority -500; policy accept;', *rules, ' }']
    lines.append('}')
    return '\n'.join(lines) + '\n'


class Gates:
    """The gates of all roles; shut when made."""

    def __init__(self,
                 roles: dict[str, tuple[str, tuple[Interface, ...]]]) -> None:
        self._roles = roles
        self._nft = Nft()
        try:
            self._nft.run(ruleset(roles))
        except KernelError as exc:
            raise KernelError(
                'the gate cannot be made (it needs nftables netdev ingress '
                'and egress hooks: Linux 5.16 or newer, and CAP_NET_ADMIN): '
                f'{exc}') from exc

    def open(self, role: str, until: float) -> None:
        """Pass the role's addresses until ``until`` (monotonic clock).

        :raises KernelError: if the kernel refused.
        """
        _, addresses = self._roles[role]
        begin = time.monotonic()
        left = int((until - begin) * 1000)
        if left <= 0:
            return
        self._nft.run('\n'.join(
            f'flush set netdev {TABLE} {set_name(role, a)}\n'
            f'add element netdev {TABLE} {set_name(role, a)} '
            f'{{ {a.ip} timeout {left}ms }}' for a in addresses))
        late = time.monotonic() - begin
        if late > GRAIN:
            # A relative timeout that started late would end late.
            LOG.info('The gate of %s took %.3f s to open; set again',
                     role, late)
            self.shut(role)
            if time.monotonic() < until:
                self.open(role, until)

    def shut(self, role: str) -> None:
        """Drop the role's addresses from now on."""
        _, addresses = self._roles[role]
        self._nft.run('\n'.join(
            f'flush set netdev {TABLE} {set_name(role, a)}'
            for a in addresses))

    def remove(self) -> None:
        """Take the table away; only when no address is on a NIC."""
        self._nft.run(f'delete table netdev {TABLE}')


class Addresses:
    """The roles' addresses on their NICs."""

    def __init__(self) -> None:
        self._ip = pyroute2.IPRoute()
        self._lock = threading.Lock()
        self._indexes: dict[str, int] = {}

    def close(self) -> None:
        self._ip.close()

    def add(self, device: str, address: Interface) -> None:
        """Add the address, or prolong its lifetime."""
        kwargs: dict[str, int] = {}
        if address.version == 6:
            # IFA_F_NODAD: who may have it was decided already, and a probe
            # would delay it by a second.
            kwargs['flags'] = 0x02
        try:
            with self._lock:
                self._ip.addr(
                    'replace', index=self._index(device),
                    address=str(address.ip),
                    prefixlen=address.network.prefixlen,
                    valid_lft=LIFETIME, preferred_lft=LIFETIME, **kwargs)
        except nlerrors.NetlinkError as exc:
            raise KernelError(
                f'cannot add {address} to {device}: {exc}') from exc

    def drop(self, device: str, address: Interface) -> None:
        """Take the address off; it is no error if it is gone already."""
        try:
            with self._lock:
                self._ip.addr(
                    'del', index=self._index(device),
                    address=str(address.ip),
                    prefixlen=address.network.prefixlen)
        except nlerrors.NetlinkError as exc:
            if exc.code not in (errno.EADDRNOTAVAIL, errno.ENODEV):
                raise KernelError(
                    f'cannot take {address} off {device}: {exc}') from exc

    def _index(self, device: str) -> int:
        if device in self._indexes:
            return self._indexes[device]
        found = self._ip.link_lookup(ifname=device)
        if not found:
            raise KernelError(f'there is no interface {device}')
        self._indexes[device] = int(found[0])
        return self._indexes[device]

    def carrier(self, device: str) -> bool:
        """True if the interface is up and its link is too."""
        try:
            with self._lock:
                link = self._ip.get_links(self._index(device))[0]
        except (KernelError, nlerrors.NetlinkError, IndexError):
            self._indexes.pop(device, None)
            return False
        # IFF_LOWER_UP is 0x10000, IFF_UP 1
        return bool(link['flags'] & 0x10000 and link['flags'] & 1)
