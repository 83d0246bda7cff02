# SPDX-License-Identifier: Apache-2.0
"""One seed, one schedule of faults, one verdict."""

import dataclasses
import random

from cinder_tagged.ha.core import state as st
from cinder_tagged.ha.core import timing as timings
from cinder_tagged.ha.sim import faults
from cinder_tagged.ha.sim import world as simworld


@dataclasses.dataclass
class Outcome:
    """What one run showed."""

    seed: int
    faults: list[str]
    moves: int


def build(seed: int, nodes: int = 5, profile: str = 'default',
          roles: tuple[str, ...] = ('control',)) -> simworld.World:
    """Return a world whose agents have just been started."""
    world = simworld.World(seed, [f'n{i}' for i in range(1, nodes + 1)],
                           dataclasses.replace(
                               timings.PROFILES[profile], conflict=1.5),
                           roles)
    for node in world.nodes.values():
        world.after(world.dice.random() * 0.1, node.start)
    return world


def run(seed: int, faulty: float = 6.0) -> Outcome:
    """Run a random schedule; :raises Broken: with the evidence."""
    dice = random.Random(seed * 7919 + 1)
    world = build(seed, nodes=dice.choice((2, 3, 3, 4, 5)),
                  profile=dice.choice(('default', 'fast')),
                  roles=dice.choice((('control',), ('control', 'image'))))
    names = []
    world.run(1.5)
    at = 1.5
    while at < faulty:
        at += dice.random() * 0.8
        world.run(at)
        name = dice.choice(sorted(faults.FAULTS))
        world.say(f'-- {name}')
        names.append(name)
        undo = faults.FAULTS[name](world, dice)
        world.after(dice.random() * 2.5, _said(world, name, undo))
    world.run(at + 2.6)
    world.say('-- all faults are over')
    settle(world, names)
    return Outcome(seed, names, len(world.moves))


def _said(world: simworld.World, name: str,
          undo: faults.Undo) -> faults.Undo:
    def call() -> None:
        world.say(f'-- {name} is over')
        undo()
    return call


def settle(world: simworld.World, names: list[str]) -> None:
    """After the faults: one holder per role, known to all, and it stays."""
    for node in world.nodes.values():
        # Two overlapping faults may have left a process dead or frozen.
        if not node.powered:
            node.power_on()
        elif not node.running:
            node.start()
        node.thaw()
    world.run(world.time + world.timing.conflict + 3)
    for role in world.roles:
        first = world.holders(role)
        if len(first) != 1:
            raise simworld.Broken(f'{role} has holders {first} at the end')
        _agreed(world, role, first[0])
    moves = len(world.moves)
    world.run(world.time + 1.0)
    if len(world.moves) != moves:
        raise simworld.Broken(f'a needless move: {world.moves[moves:]}')


def _agreed(world: simworld.World, role: str, holder: str) -> None:
    for node in world.nodes.values():
        if node.engine is None:
            continue
        seen = node.engine.node.roles[role]
        if seen.record is None or seen.record.holder != holder:
            raise simworld.Broken(f'{node.name} takes {seen.record} for the '
                                  f'holder, not {holder}')
        if seen.applied != seen.record.epoch:
            raise simworld.Broken(
                f'{node.name} is configured for epoch {seen.applied}, not '
                f'{seen.record.epoch}')
        holds = role in node.kernel.addresses
        if holds != (node.name == holder) or (
                holds and seen.phase is not st.Phase.HOLDING):
            raise simworld.Broken(f'{node.name} has the address: {holds}')
