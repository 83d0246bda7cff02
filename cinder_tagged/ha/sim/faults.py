# SPDX-License-Identifier: Apache-2.0
"""Kinds of fault, each a function (world, dice) -> its undoing."""

from collections.abc import Callable
import random

from cinder_tagged.ha.core import observe
from cinder_tagged.ha.sim import world as simworld

Undo = Callable[[], None]
Fault = Callable[[simworld.World, random.Random], Undo]


def _any(world: simworld.World, dice: random.Random) -> str:
    """Prefer a node that passes the address: faults there hurt most."""
    holding = world.holders(dice.choice(world.roles))
    if holding and dice.random() < 0.6:
        return holding[0]
    return dice.choice(sorted(world.nodes))


def _cut(world: simworld.World, pairs: set[tuple[str, str]]) -> Undo:
    world.network.cut |= pairs
    return lambda: world.network.cut.difference_update(pairs)


def _around(world: simworld.World, name: str) -> set[tuple[str, str]]:
    return {pair for other in world.nodes if other != name
            for pair in ((name, other), (other, name))}


def kill_agent(world: simworld.World, dice: random.Random) -> Undo:
    node = world.nodes[_any(world, dice)]
    node.kill()
    return lambda: node.start() if node.powered and not node.running else None


def restart_agent(world: simworld.World, dice: random.Random) -> Undo:
    node = world.nodes[_any(world, dice)]
    if node.powered:
        node.kill()
        node.start()
    return lambda: None


def freeze_agent(world: simworld.World, dice: random.Random) -> Undo:
    node = world.nodes[_any(world, dice)]
    node.freeze()
    return node.thaw


def power_off(world: simworld.World, dice: random.Random) -> Undo:
    node = world.nodes[_any(world, dice)]
    node.power_off()
    return lambda: None if node.powered else node.power_on()


def isolate(world: simworld.World, dice: random.Random) -> Undo:
    name = _any(world, dice)
    undo = _cut(world, _around(world, name))
    world.store.cut.add(name)

    def heal() -> None:
        undo()
        world.store.cut.discard(name)
    return heal


def cut_peers_only(world: simworld.World, dice: random.Random) -> Undo:
    return _cut(world, _around(world, _any(world, dice)))


def cut_etcd_only(world: simworld.World, dice: random.Random) -> Undo:
    name = _any(world, dice)
    world.store.cut.add(name)
    return lambda: world.store.cut.discard(name)


def cut_one_way(world: simworld.World, dice: random.Random) -> Undo:
    name = _any(world, dice)
    inward = dice.random() < 0.5
    return _cut(world, {
        (other, name) if inward else (name, other)
        for other in world.nodes if other != name})


def cut_one_pair(world: simworld.World, dice: random.Random) -> Undo:
    first, second = dice.sample(sorted(world.nodes), 2)
    return _cut(world, {(first, second), (second, first)})


def split(world: simworld.World, dice: random.Random) -> Undo:
    names = sorted(world.nodes)
    dice.shuffle(names)
    at = dice.randint(1, len(names) - 1)
    left, right = names[:at], names[at:]
    undo = _cut(world, {pair for a in left for b in right
                        for pair in ((a, b), (b, a))})
    without = set(dice.choice((left, right, [])))
    world.store.cut |= without

    def heal() -> None:
        undo()
        world.store.cut -= without
    return heal


def etcd_down(world: simworld.World, dice: random.Random) -> Undo:
    world.store.down = True

    def heal() -> None:
        world.store.down = False
    return heal


def etcd_election(world: simworld.World, dice: random.Random) -> Undo:
    world.store.down = True
    world.after(world.timing.etcd_election * 1.1,
                lambda: setattr(world.store, 'down', False))
    return lambda: setattr(world.store, 'down', False)


def etcd_slow(world: simworld.World, dice: random.Random) -> Undo:
    world.store.delay = dice.random() * world.timing.request
    return lambda: setattr(world.store, 'delay', 0.002)


def etcd_answers_lost(world: simworld.World, dice: random.Random) -> Undo:
    world.store.lost_answers = dice.random()
    return lambda: setattr(world.store, 'lost_answers', 0.0)


def etcd_requests_late(world: simworld.World, dice: random.Random) -> Undo:
    world.store.late = dice.random() * 0.8
    return lambda: setattr(world.store, 'late', 0.0)


def lossy(world: simworld.World, dice: random.Random) -> Undo:
    world.network.loss = dice.random() * 0.5
    return lambda: setattr(world.network, 'loss', 0.0)


def twice(world: simworld.World, dice: random.Random) -> Undo:
    world.network.twice = dice.random()
    return lambda: setattr(world.network, 'twice', 0.0)


def slow_network(world: simworld.World, dice: random.Random) -> Undo:
    world.network.jitter = dice.random() * world.timing.hold
    return lambda: setattr(world.network, 'jitter', 0.001)


def service_fault(world: simworld.World, dice: random.Random) -> Undo:
    node = world.nodes[_any(world, dice)]

    def set_to(faults: frozenset[str]) -> None:
        node.faults = faults
        node.feed(observe.Health(faults))
    set_to(frozenset({'rbd'}))
    return lambda: set_to(frozenset())


def data_behind(world: simworld.World, dice: random.Random) -> Undo:
    node = world.nodes[_any(world, dice)]

    def set_to(ready: bool) -> None:
        node.data_ready = ready
        node.feed(observe.Data(0, ready))
    set_to(False)
    return lambda: set_to(True)


def standby(world: simworld.World, dice: random.Random) -> Undo:
    node = world.nodes[_any(world, dice)]
    node.feed(observe.Operator('standby'))
    return lambda: node.feed(observe.Operator('resume'))


def switch(world: simworld.World, dice: random.Random) -> Undo:
    role = dice.choice(world.roles)
    for name in world.holders(role):
        world.nodes[name].feed(observe.Operator(
            'switch', role, dice.choice(sorted(world.nodes)),
            dice.random() < 0.5))
    return lambda: None


def switch_and_kill_target(world: simworld.World,
                           dice: random.Random) -> Undo:
    role = dice.choice(world.roles)
    target = world.nodes[dice.choice(sorted(world.nodes))]
    for name in world.holders(role):
        world.nodes[name].feed(observe.Operator('switch', role, target.name))
    world.after(dice.random() * 0.03, target.kill)
    return lambda: (target.start() if target.powered and not target.running
                    else None)


def switch_and_freeze_giver(world: simworld.World,
                            dice: random.Random) -> Undo:
    role = dice.choice(world.roles)
    undo: list[Undo] = []
    for name in world.holders(role):
        node = world.nodes[name]
        node.feed(observe.Operator(
            'switch', role, dice.choice(sorted(world.nodes))))
        world.after(dice.random() * 0.03, node.freeze)
        undo.append(node.thaw)

    def thaw() -> None:
        for call in undo:
            call()
    return thaw


def conflict(world: simworld.World, dice: random.Random) -> Undo:
    role = dice.choice(world.roles)
    for node in world.nodes.values():
        node.feed(observe.Conflict(role, '02:00:00:00:00:99'))
    return lambda: None


FAULTS: dict[str, Fault] = {call.__name__: call for call in (
    kill_agent, restart_agent, freeze_agent, power_off, isolate,
    cut_peers_only, cut_etcd_only, cut_one_way, cut_one_pair, split,
    etcd_down, etcd_election, etcd_slow, etcd_answers_lost,
    etcd_requests_late, lossy, twice, slow_network, service_fault,
    data_behind, standby, switch, switch_and_kill_target,
    switch_and_freeze_giver, conflict)}
