# SPDX-License-Identifier: Apache-2.0
"""Announcing an address on the wire, and seeing who else claims it."""

from collections.abc import Callable
import ctypes
import ipaddress
import select
import socket
import struct
import threading

from oslo_log import log as logging

from cinder_tagged.ha.adapters import kernel

LOG = logging.getLogger(__name__)

ETH_P_ARP = 0x0806
ETH_P_IPV6 = 0x86dd
_BROADCAST = b'\xff' * 6
_ALL_NODES = ipaddress.IPv6Address('ff02::1')


def mac_of(device: str) -> bytes:
    """The interface's own hardware address."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as probe:
        probe.bind((device, 0))
        mac: bytes = probe.getsockname()[4]
        return mac


def text(mac: bytes) -> str:
    """Colon notation."""
    return mac.hex(':')


def arp(mac: bytes, sender: ipaddress.IPv4Address,
        target: ipaddress.IPv4Address, operation: int) -> bytes:
    """An ARP frame to everybody: 1 asks, 2 answers."""
    asked = b'\0' * 6 if operation == 1 else _BROADCAST
    return (_BROADCAST + mac + struct.pack('!H', ETH_P_ARP)
            + struct.pack('!HHBBH', 1, 0x0800, 6, 4, operation)
            + mac + sender.packed + asked + target.packed)


def advertisement(mac: bytes, address: ipaddress.IPv6Address) -> bytes:
    """An unsolicited neighbour advertisement that overrides caches."""
    body = (struct.pack('!BBHI', 136, 0, 0, 0x20000000) + address.packed
            + b'\x02\x01' + mac)
    return _icmp6(mac, address, _ALL_NODES, body)


def solicitation(mac: bytes, source: ipaddress.IPv6Address,
                 address: ipaddress.IPv6Address) -> bytes:
    """Ask who has ``address``; ``source`` is :: as long as it is not ours."""
    group = ipaddress.IPv6Address(
        int(ipaddress.IPv6Address('ff02::1:ff00:0'))
        | int(address) & 0xffffff)
    return _icmp6(mac, source, group,
                  struct.pack('!BBHI', 135, 0, 0, 0) + address.packed)


def _icmp6(mac: bytes, source: ipaddress.IPv6Address,
           to: ipaddress.IPv6Address, body: bytes) -> bytes:
    pseudo = (source.packed + to.packed
              + struct.pack('!II', len(body), socket.IPPROTO_ICMPV6))
    total = sum(struct.unpack(f'!{(len(pseudo) + len(body)) // 2}H',
                              pseudo + body))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    body = body[:2] + struct.pack('!H', ~total & 0xffff) + body[4:]
    head = struct.pack('!IHBB', 6 << 28, len(body), socket.IPPROTO_ICMPV6,
                       255) + source.packed + to.packed
    return (b'\x33\x33' + to.packed[-4:] + mac
            + struct.pack('!H', ETH_P_IPV6) + head + body)


class Wire:
    """Frames out of one interface."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.mac = mac_of(device)
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._socket.bind((device, 0))

    def close(self) -> None:
        self._socket.close()

    def announce(self, address: kernel.Interface) -> None:
        """Tell every neighbour that the address is here."""
        if isinstance(address.ip, ipaddress.IPv4Address):
            for operation in (1, 2):
                self._send(arp(self.mac, address.ip, address.ip, operation))
        else:
            self._send(advertisement(self.mac, address.ip))

    def probe(self, address: kernel.Interface) -> None:
        """Ask whether somebody has the address, without claiming it."""
        if isinstance(address.ip, ipaddress.IPv4Address):
            self._send(arp(self.mac, ipaddress.IPv4Address(0),
                           address.ip, 1))
        else:
            self._send(solicitation(
                self.mac, ipaddress.IPv6Address(0), address.ip))

    def _send(self, frame: bytes) -> None:
        try:
            self._socket.send(frame)
        except OSError as exc:
            LOG.debug('cannot send on %s: %s', self.device, exc)


def _only_advertisements() -> bytes:
    """A packet filter: IPv6, ICMPv6, type 136."""
    code = ((0x28, 0, 0, 12), (0x15, 0, 5, ETH_P_IPV6), (0x30, 0, 0, 20),
            (0x15, 0, 3, socket.IPPROTO_ICMPV6), (0x30, 0, 0, 54),
            (0x15, 0, 1, 136), (0x06, 0, 0, 0xffff), (0x06, 0, 0, 0))
    return b''.join(struct.pack('HBBI', *step) for step in code)


class Listener(threading.Thread):
    """Report foreign NICs that claim one of the addresses.

    ``foreign(address, mac)`` is called for each such frame.
    """

    def __init__(self, device: str, addresses: set[str],
                 foreign: Callable[[str, str], None]) -> None:
        super().__init__(daemon=True, name=f'wire {device}')
        self._addresses, self._foreign = addresses, foreign
        self._mac = mac_of(device)
        self._sockets = [self._tap(device, ETH_P_ARP, b'')]
        if any(':' in address for address in addresses):
            self._sockets.append(
                self._tap(device, ETH_P_IPV6, _only_advertisements()))

    @staticmethod
    def _tap(device: str, kind: int, program: bytes) -> socket.socket:
        tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        if program:
            buffer = ctypes.create_string_buffer(program)
            tap.setsockopt(socket.SOL_SOCKET, 26, struct.pack(
                'HL', len(program) // 8, ctypes.addressof(buffer)))
        tap.bind((device, kind))
        return tap

    def run(self) -> None:
        while True:
            ready, _, _ = select.select(self._sockets, [], [], 5)
            for tap in ready:
                try:
                    frame = tap.recv(256)
                except OSError:
                    continue
                self.look(frame)

    def look(self, frame: bytes) -> None:
        """Judge one frame."""
        kind = int.from_bytes(frame[12:14], 'big')
        if kind == ETH_P_ARP and len(frame) >= 42:
            mac, claimed = frame[22:28], str(
                ipaddress.IPv4Address(frame[28:32]))
        elif kind == ETH_P_IPV6 and len(frame) >= 78 and frame[54] == 136:
            mac, claimed = frame[6:12], str(
                ipaddress.IPv6Address(frame[62:78]))
        else:
            return
        if claimed in self._addresses and mac != self._mac:
            self._foreign(claimed, text(mac))
