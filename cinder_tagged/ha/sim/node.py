# SPDX-License-Identifier: Apache-2.0
"""A simulated node: its clock, its kernel, and the agent's process."""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
import functools
from typing import Any
from typing import TYPE_CHECKING

from cinder_tagged.ha import engine
from cinder_tagged.ha.core import actions as act
from cinder_tagged.ha.core import membership
from cinder_tagged.ha.core import messages
from cinder_tagged.ha.core import observe
from cinder_tagged.ha.core import record as rec
from cinder_tagged.ha.core import state as st

if TYPE_CHECKING:
    from cinder_tagged.ha.sim import world as simworld

#: A kernel's timer fires up to this late (s).
TICK = 0.008


@dataclasses.dataclass
class Kernel:
    """What outlives the process: gates (true time) and addresses."""

    gates: dict[str, float] = dataclasses.field(default_factory=dict)
    addresses: set[str] = dataclasses.field(default_factory=set)


class SimNode:
    """One machine with one agent; the engine's Env."""

    def __init__(self, world: simworld.World, name: str,
                 names: list[str]) -> None:
        dice, drift = world.dice, world.timing.drift
        self.world = world
        self.name = name
        self.names = names
        self.offset = dice.random() * 1000
        self.rate = 1 + dice.choice((-1, -0.3, 0, 0.5, 1)) * drift * 0.99
        self.kernel = Kernel()
        self.boots = 1
        self.starts = 0
        self.instance = ''
        self.powered = True
        self.running = False
        self.frozen = False
        self.faults: frozenset[str] = frozenset()
        self.data_ready = True
        self.engine: engine.Engine | None = None
        self._backlog: list[Callable[[], None]] = []
        self._wake = 0

    # Env

    def now(self) -> float:
        return self.offset + self.world.time * self.rate

    def perform(self, action: act.Action, node: st.NodeState) -> None:
        getattr(self, '_' + type(action).__name__.lower())(action)

    # Life and death

    def start(self) -> None:
        """Start the agent's process; it shuts every gate first."""
        self.starts += 1
        self.instance = f'{self.boots}.{self.starts}'
        self.running, self.frozen = True, False
        self._backlog = []
        self.kernel.gates.clear()
        self.kernel.addresses.clear()
        members = {name: st.Member(name, f'10.0.0.{i}')
                   for i, name in enumerate(self.names, 1)}
        now = self.now()
        self.engine = engine.Engine(st.NodeState(
            me=rec.Identity(self.name, self.instance, str(self.boots)),
            members=members, timing=self.world.timing,
            council=membership.choose_council(members.values(), 7),
            roles={role: st.RoleState(role, '10.0.0.100/24')
                   for role in self.world.roles},
            faults=self.faults, data_ready=self.data_ready,
            grace_from=now), self)
        self._turn()

    def kill(self) -> None:
        """SIGKILL: the kernel keeps gates and addresses."""
        self.running = False
        self._wake += 1

    def power_off(self) -> None:
        self.kill()
        self.powered = False
        self.kernel = Kernel()

    def power_on(self) -> None:
        self.powered = True
        self.boots += 1
        self.start()

    def freeze(self) -> None:
        self.frozen = True

    def thaw(self) -> None:
        if not self.running or not self.frozen:
            self.frozen = False
            return
        self.frozen = False
        backlog, self._backlog = self._backlog, []
        for call in backlog:
            call()
        self._turn()
        # The mirror's thread goes on too, and copies what was missed.
        self.feed(observe.Data(0, self.data_ready))

    def passes(self, role: str) -> bool:
        """True while this kernel lets the role's address through."""
        return (self.powered
                and self.kernel.gates.get(role, -1.0) > self.world.time)

    # Input

    def deliver(self, call: Callable[[], None], turn: bool = True) -> None:
        """Run ``call`` in the process: now, on thaw, or never.

        Beats come so often that they wait for the next turn.
        """
        if not self.running or not self.powered:
            return
        if self.frozen:
            self._backlog.append(call)
            return
        call()
        if turn:
            self._turn()

    def feed(self, seen: observe.Observation) -> None:
        """Bring an observation to the engine, if the process lives."""
        beat = (isinstance(seen, observe.Heard)
                and isinstance(seen.message, messages.Beat))
        self.deliver(lambda: self.engine.feed(seen) if self.engine else None,
                     turn=not beat)

    def _turn(self) -> None:
        if not self.running or self.frozen or self.engine is None:
            return
        due = self.engine.turn()
        self._wake += 1
        mark = self._wake
        delay = max(0.0005, (due - self.now()) / self.rate)
        self.world.after(delay, lambda: self._woken(mark))

    def _woken(self, mark: int) -> None:
        if mark != self._wake:
            return
        if self.frozen:
            return
        self._turn()

    # Output

    def _send(self, action: act.Send) -> None:
        seen = observe.Heard(self.name, action.message)
        for to in action.to:
            peer = self.world.nodes[to]
            self.world.send(self.name, to, functools.partial(peer.feed, seen))

    def _read(self, action: act.Read) -> None:
        sent, mine = self.now(), self.instance

        def answer(result: Any) -> None:
            record, shut = result if result else (None, 0)
            if self.instance == mine and self.engine:
                self.engine.feed(observe.ReadDone(
                    action.role, sent, record, shut))
        self.world.request(
            self, lambda: self.world.read(action.role), answer)

    def _write(self, action: act.Write) -> None:
        mine = self.instance

        def answer(result: Any) -> None:
            won, record, shut = result if result else (False, None, 0)
            if self.instance == mine and self.engine:
                self.engine.feed(observe.WriteDone(
                    action.role, action.record, won, record, shut))
        self.world.request(self, lambda: self.world.swap(
            action.role, action.expect, action.record), answer)

    def _certify(self, action: act.Certify) -> None:
        if self.passes(action.role):
            raise AssertionError(f'{self.name} vouches with its gate open')
        self.world.request(self, lambda: self.world.certify(
            action.role, action.epoch), lambda result: None)

    def _gate(self, action: act.Gate) -> None:
        left = (action.until - self.now()) / self.rate
        if left <= 0:
            return
        until = self.world.time + left + self.world.dice.random() * TICK
        epoch = self.engine.node.roles[action.role].epoch if self.engine else 0
        self.kernel.gates[action.role] = until
        self.world.gate_opened(self, action.role, epoch, until)

    def _shut(self, action: act.Shut) -> None:
        self.kernel.gates.pop(action.role, None)

    def _addaddress(self, action: act.AddAddress) -> None:
        self.kernel.addresses.add(action.role)

    def _dropaddress(self, action: act.DropAddress) -> None:
        self.kernel.addresses.discard(action.role)

    def _reconfigure(self, action: act.Reconfigure) -> None:
        role, epoch = action.first.role, action.first.epoch
        self.world.after(0.01, lambda: self.feed(
            observe.Applied(role, epoch)))

    def _note(self, action: act.Note) -> None:
        self.world.say(f'{self.name} {action.event} {dict(action.detail)}')
        if action.event == 'claiming' and (self.faults or not self.data_ready):
            known = self.engine.node.faults if self.engine else frozenset()
            if known or (self.engine and not self.engine.node.data_ready):
                raise AssertionError(f'{self.name} is unfit and claims')

    def _bury(self, action: act.Bury) -> None:
        self.world.buried.append((self.name, action.node))

    def _nothing(self, action: act.Action) -> None:
        """The simulator has no wire to announce on and no services."""

    _announce = _probe = _startservices = _stopservices = _nothing
