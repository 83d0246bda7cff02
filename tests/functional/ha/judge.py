# SPDX-License-Identifier: Apache-2.0
"""Who answered for the address, and when: judged from captured packets."""

from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses
import itertools
from pathlib import Path
import signal
import struct
import subprocess
import sys
import time

from tests.functional.ha import spaces

#: A poller for one address: every 10 ms an echo request through the kernel's
#: neighbour cache, as a client would, and an ARP request to everybody.
POLLER = '''
import socket, struct, sys, time
address, device = sys.argv[1:3]
period = 0.01
icmp = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
icmp.setblocking(False)
link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
link.bind((device, 0))
mac = link.getsockname()[4]
own = socket.inet_aton(sys.argv[3])
arp = (b"\\xff" * 6 + mac + bytes.fromhex("0806")
       + struct.pack("!HHBBH", 1, 0x800, 6, 4, 1) + mac + own + b"\\0" * 6
       + socket.inet_aton(address))
number, due = 0, time.monotonic()
while True:
    number = (number + 1) & 0xffff
    head = struct.pack("!BBHHH", 8, 0, 0, 4711, number)
    total = sum(struct.unpack("!4H", head))
    total = ~((total & 0xffff) + (total >> 16)) & 0xffff
    try:
        icmp.sendto(head[:2] + struct.pack("!H", total) + head[4:],
                    (address, 0))
    except OSError:
        pass
    try:
        link.send(arp)
    except OSError:
        pass
    due += period
    time.sleep(max(0, due - time.monotonic()))
    if time.monotonic() - due > 1:
        due = time.monotonic()
    while True:
        try:
            icmp.recv(2048)
        except OSError:
            break
'''


@dataclasses.dataclass(frozen=True)
class Seen:
    """One frame that claims the address: echo reply or ARP."""

    time: float
    mac: str
    echo: bool


class Client:
    """A machine that polls the address and captures what comes back."""

    def __init__(self, space: spaces.Space, own: str, address: str) -> None:
        self._space, self._address = space, address
        self.pcap: Path = space.files / 'client.pcap'
        self._dump = space.spawn(
            'tcpdump', '-i', 'eth0', '-U', '-w', '/mnt/client.pcap', '-B',
            '4096', '--immediate-mode', '-n', 'arp or icmp', log='tcpdump')
        deadline = time.monotonic() + 20
        while b'listening' not in (space.files / 'tcpdump').read_bytes():
            if time.monotonic() > deadline:
                raise RuntimeError('tcpdump does not listen')
            time.sleep(0.02)
        self._poller = space.spawn(
            sys.executable, '-c', POLLER, address, 'eth0', own)

    def stop(self) -> None:
        """End polling and capturing; the file is whole afterwards."""
        self._poller.kill()
        self._poller.wait(10)
        time.sleep(0.1)
        self._dump.send_signal(signal.SIGINT)
        try:
            self._dump.wait(10)
        except subprocess.TimeoutExpired:
            self._dump.kill()

    def seen(self) -> list[Seen]:
        """Every claim of the address in the capture, in order."""
        found = (claims(f, self._address) for f in frames(self.pcap))
        return [claim for claim in found if claim is not None]


def frames(path: Path) -> Iterator[tuple[float, bytes]]:
    """(time, frame) of a pcap file; a torn last one is left out."""
    data = path.read_bytes()
    at = 24
    while at + 16 <= len(data):
        seconds, fraction, size, _ = struct.unpack_from('<IIII', data, at)
        if at + 16 + size > len(data):
            return
        yield seconds + fraction / 1e6, data[at + 16:at + 16 + size]
        at += 16 + size


def claims(frame: tuple[float, bytes], address: str) -> Seen | None:
    """The claim that a frame makes, if it makes one."""
    at, data = frame
    wanted = bytes(map(int, address.split('.')))
    kind = data[12:14]
    if kind == b'\x08\x06' and data[28:32] == wanted:
        return Seen(at, data[22:28].hex(':'), False)
    if (kind == b'\x08\x00' and data[23] == 1 and data[26:30] == wanted
            and data[34] == 0):
        return Seen(at, data[6:12].hex(':'), True)
    return None


def hole(seen: Sequence[Seen], begin: float, end: float) -> float:
    """Longest time (s) in begin..end without an echo reply.

    One that is still open at the end counts.
    """
    times = [begin, *(s.time for s in seen
                      if s.echo and begin <= s.time <= end), end]
    return max(b - a for a, b in itertools.pairwise(times))


def held_twice(seen: Sequence[Seen], begin: float, end: float) -> float:
    """Time (s) in which two machines claimed the address by turns.

    Claims that are less than 50 ms apart belong together.  A takeover has
    each machine's claims on one side; only overlap counts.
    """
    spans: dict[str, list[list[float]]] = {}
    for claim in sorted(seen, key=lambda s: s.time):
        if not begin <= claim.time <= end:
            continue
        mine = spans.setdefault(claim.mac, [])
        if mine and claim.time - mine[-1][1] < 0.05:
            mine[-1][1] = claim.time
        else:
            mine.append([claim.time, claim.time])
    total = 0.0
    macs = sorted(spans)
    for i, one in enumerate(macs):
        for other in macs[i + 1:]:
            total += sum(max(0.0, min(a[1], b[1]) - max(a[0], b[0]))
                         for a in spans[one] for b in spans[other])
    return total
