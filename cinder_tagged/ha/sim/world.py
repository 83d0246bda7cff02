# SPDX-License-Identifier: Apache-2.0
"""A cloud in one thread: true time, network, etcd, kernels, processes.

Everything random comes from one seeded generator, so a seed replays.
"""

from collections.abc import Callable
import dataclasses
import heapq
import itertools
import random

from cinder_tagged.ha.core import record as rec
from cinder_tagged.ha.core import timing as timings
from cinder_tagged.ha.sim import node as simnode


class Broken(AssertionError):
    """An invariant did not hold; the text has the evidence."""


@dataclasses.dataclass
class Network:
    """Which datagrams pass; pairs are (from, to)."""

    cut: set[tuple[str, str]] = dataclasses.field(default_factory=set)
    loss: float = 0.0
    twice: float = 0.0
    delay: float = 0.0005
    jitter: float = 0.001


@dataclasses.dataclass
class Store:
    """etcd as its clients see it: one linearizable store, or none."""

    records: dict[str, rec.Record] = dataclasses.field(default_factory=dict)
    shut: dict[str, int] = dataclasses.field(default_factory=dict)
    revision: int = 0
    down: bool = False
    cut: set[str] = dataclasses.field(default_factory=set)
    delay: float = 0.002
    jitter: float = 0.004
    lost_answers: float = 0.0
    late: float = 0.0


class World:
    """True time, the event queue, and the watchman of the invariants."""

    def __init__(self, seed: int, names: list[str], timing: timings.Timing,
                 roles: tuple[str, ...] = ('control',)) -> None:
        self.dice = random.Random(seed)
        self.timing = timing
        self.roles = roles
        self.time = 0.0
        self.network = Network()
        self.store = Store()
        self.opened: dict[str, tuple[int, str]] = {}
        self.moves: list[tuple[float, str, str, int]] = []
        self.buried: list[tuple[str, str]] = []
        self.log: list[str] = []
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self.nodes = {name: simnode.SimNode(self, name, names)
                      for name in names}

    def after(self, delay: float, call: Callable[[], None]) -> None:
        """Run ``call`` after ``delay`` s of true time."""
        heapq.heappush(self._queue, (
            self.time + max(0.0, delay), next(self._order), call))

    def run(self, until: float) -> None:
        """Let everything happen that is due by ``until``."""
        while self._queue and self._queue[0][0] <= until:
            self.time, _, call = heapq.heappop(self._queue)
            call()
        self.time = until

    def say(self, text: str) -> None:
        """Keep evidence for whoever replays the seed."""
        self.log.append(f'{self.time:9.4f} {text}')

    def gate_opened(self, opener: simnode.SimNode, role: str, epoch: int,
                    until: float) -> None:
        """Check the invariants at the only event that can break them."""
        for other in self.nodes.values():
            if other is not opener and other.passes(role):
                raise Broken(
                    f'{self.time:.4f}: {opener.name} opens {role} (epoch '
                    f'{epoch}) while {other.name} passes it until '
                    f'{other.kernel.gates[role]:.4f}')
        last, by = self.opened.get(role, (0, ''))
        who = f'{opener.name}/{opener.instance}'
        if epoch < last or (epoch == last and by != who):
            raise Broken(f'{self.time:.4f}: {who} opens {role} in epoch '
                         f'{epoch} after {by} did in {last}')
        if (last, by) != (epoch, who):
            self.moves.append((self.time, role, opener.name, epoch))
        self.opened[role] = (epoch, who)

    def holders(self, role: str) -> list[str]:
        """Names of the nodes whose kernels pass the role's address now."""
        return [n.name for n in self.nodes.values() if n.passes(role)]

    # Network

    def send(self, sender: str, to: str, deliver: Callable[[], None]) -> None:
        """Carry one datagram, or lose it, or bring it twice."""
        net = self.network
        if (sender, to) in net.cut or self.dice.random() < net.loss:
            return
        for _ in range(1 + (self.dice.random() < net.twice)):
            self.after(net.delay + self.dice.random() * net.jitter, deliver)

    # etcd

    def request(self, client: 'simnode.SimNode', run: Callable[[], object],
                answer: Callable[[object], None]) -> None:
        """Execute ``run`` in the store and bring its result back.

        ``answer`` gets None if none came within the client's deadline; the
        request may be executed all the same, even later than that.
        """
        store, dice = self.store, self.dice
        state = {'open': True}

        def close(result: object) -> None:
            if state['open']:
                state['open'] = False
                client.deliver(lambda: answer(result))

        def execute() -> None:
            if store.down or client.name in store.cut:
                return
            result = run()
            if dice.random() >= store.lost_answers:
                self.after(dice.random() * store.jitter, lambda: close(result))

        delay = store.delay + dice.random() * store.jitter
        if dice.random() < store.late:
            delay += dice.random() * 4 * self.timing.hold
        if client.name not in store.cut:
            self.after(delay, execute)
        self.after(self.timing.request, lambda: close(None))

    def swap(self, role: str, expect: int,
             new: rec.Record) -> tuple[bool, rec.Record, int]:
        """Compare-and-swap: (won, present record, certificate)."""
        store = self.store
        now = store.records.get(role, rec.Record())
        if now.revision != expect:
            return False, now, store.shut.get(role, 0)
        if new.epoch < now.epoch:
            raise Broken(f'epoch of {role} goes from {now.epoch} to '
                         f'{new.epoch}')
        store.revision += 1
        now = dataclasses.replace(new, revision=store.revision)
        store.records[role] = now
        return True, now, store.shut.get(role, 0)

    def read(self, role: str) -> tuple[rec.Record, int]:
        """Linearizable read: (record, certificate)."""
        return (self.store.records.get(role, rec.Record()),
                self.store.shut.get(role, 0))

    def certify(self, role: str, epoch: int) -> None:
        """Keep the highest certificate."""
        self.store.shut[role] = max(self.store.shut.get(role, 0), epoch)
