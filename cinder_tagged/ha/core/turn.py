# SPDX-License-Identifier: Apache-2.0
"""The scratch pad of one decision about one role."""

from typing import Any

from cinder_tagged.ha.core import actions as act
from cinder_tagged.ha.core import record as rec
from cinder_tagged.ha.core import state as st


class Turn:
    """A node, one of its roles, the time, and the actions decided so far.

    The states behind it stay immutable; ``role`` is replaced as it changes.
    """

    def __init__(self, node: st.NodeState, role: st.RoleState,
                 now: float) -> None:
        self.node = node
        self.role = role
        self.now = now
        self.actions: list[act.Action] = []

    @property
    def record(self) -> rec.Record:
        """The newest record known; an empty one if none was read yet."""
        return self.role.record or rec.Record()

    def set(self, **changes: Any) -> None:
        role = self.role
        if any(getattr(role, name) != value
               for name, value in changes.items()):
            self.role = role.evolve(**changes)

    def do(self, *actions: act.Action) -> None:
        self.actions.extend(actions)

    def note(self, event: str, **detail: object) -> None:
        self.do(act.Note(event, self.role.name, {
            'epoch': self.record.epoch, 'holder': self.record.holder,
            **detail}))

    def next_seq(self) -> int:
        """Return a write number that this process never used before."""
        self.set(writes=self.role.writes + 1)
        return self.role.writes

    def write(self, kind: str, record: rec.Record) -> None:
        """Replace the record, provided that it is still the known one."""
        expect = self.record.revision
        self.set(pending=st.Pending(kind, record, expect, self.now))
        self.do(act.Write(self.role.name, kind, record, expect))

    def read(self, every: float) -> None:
        """Read the record unless one was read within ``every`` seconds."""
        stuck = self.role.read_due + 4 * self.node.timing.request < self.now
        if self.role.read_due <= self.now and (not self.role.reading
                                               or stuck):
            self.set(reading=True, read_due=self.now + every)
            self.do(act.Read(self.role.name))

    def shut(self, lapsed: bool = False) -> None:
        """Let go of the address: first the kernel's gate, then the NIC.

        :param lapsed: for want of a renewal, not for another holder
        """
        self.do(act.Shut(self.role.name))
        if self.role.address_on:
            self.do(act.DropAddress(self.role.name))
        if self.role.opened:
            self.do(act.StopServices(self.role.name, lapsed))
        self.set(gate_until=st.NEVER, address_on=False)

    def follow(self) -> None:
        """Become a controlled node."""
        self.set(phase=st.Phase.FOLLOWING, epoch=0, authority=st.NEVER,
                 open_at=float('inf'), opened=False, handing=None, wish=None,
                 free_since=None, acked=frozenset(),
                 buried=frozenset(), retry_at=self.now + self.node.timing.beat)
