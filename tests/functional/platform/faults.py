# SPDX-License-Identifier: Apache-2.0
"""One fault after the other, judged, and how long each kept it away.

Tests and the benchmark "follow" do the same trials.
"""

from collections.abc import Callable
import dataclasses
import time

from tests.functional.ha import lab as labs
from tests.functional.platform import lab as platform

#: What can befall it, in the order in which it is shown.
NAMES = ('switch asked for', 'server killed', 'server frozen',
         'cut from Ceph', 'cut from its peers', 'storage paused')


@dataclasses.dataclass(frozen=True)
class Trial:
    """What came of one fault.

    :param seconds: from the fault (of a pause: from its end) to the next
        acknowledged stamp
    :param wrong: what the judge found; nothing should be
    :param back: False if it was given up after ``seconds``
    :param hole: uptime (s) at the fault, and at that next stamp
    """

    seconds: float
    wrong: list[str]
    back: bool = True
    hole: tuple[float, float] = (0.0, 0.0)


class Faults:
    """What can befall the server that has the platform.

    :param pause: seconds that the storage is paused at least
    """

    def __init__(self, lab: platform.PlatformLab, pause: float = 0) -> None:
        self.lab, self.pause = lab, pause
        switch = lab.lab.switch
        #: strike and repair of the faults that another server takes over
        self.moving: dict[str, tuple[
            Callable[[labs.Node], object], Callable[[labs.Node], object]]] = {
                'switch asked for': (self._switch, lambda node: None),
                'server killed': (lab.die, lambda node: node.boot()),
                'server frozen': (lab.freeze, self._thaw),
                'cut from Ceph': (
                    lambda node: switch.cut([node.name], ['ceph']),
                    lambda node: switch.heal()),
                'cut from its peers': (
                    lambda node: switch.cut(
                        [node.name], [n.name for n in self._others(node)]),
                    lambda node: switch.heal())}

    def trial(self, name: str) -> Trial:
        """Do one; :raises TimeoutError: it did not end well in time."""
        if name in self.moving:
            return self._moving(*self.moving[name])
        return self._paused()

    def _others(self, node: labs.Node) -> list[labs.Node]:
        return [n for n in self.lab.lab.nodes if n is not node]

    def _switch(self, node: labs.Node) -> None:
        answer = node.ask(verb='switch', role='control', wait=20,
                          target=self._others(node)[0].name)
        if not answer['moved']:
            raise RuntimeError(f'the switch was refused: {answer}')

    def _thaw(self, node: labs.Node) -> None:
        """First the container alone: nothing but the fence stops it."""
        epoch = self.lab.thaw_container(node)
        try:
            labs.wait_for(lambda: self.lab.refused(epoch),
                          f'a write of epoch {epoch} is refused')
        finally:
            self.lab.thaw(node)

    def _moving(self, strike: Callable[[labs.Node], object],
                repair: Callable[[labs.Node], object]) -> Trial:
        lab = self.lab
        before = lab.steady()
        begin = lab.uptime()
        try:
            strike(before)
            lab.working(begin, before.name)
            back = min(float(words[3]) for words in lab.acked()
                       if float(words[3]) > begin
                       and words[2] != before.name)
        finally:
            repair(before)
        self.gone(before)
        now = lab.steady()
        wrong = lab.judge(now)
        if now is before:
            wrong.append(f'the platform is on {now.name} again')
        return Trial(back - begin, wrong, hole=(begin, back))

    def gone(self, node: labs.Node) -> None:
        """Wait until nothing of the platform is on a server."""
        labs.wait_for(
            lambda: self.lab.status(node).get('row') == 'standing by'
            and '/data ' not in node.space.run('cat', '/proc/self/mounts'),
            f'{node.name} lets go of the platform')

    def stopped_everywhere(self) -> None:
        """Wait until no server has anything, for want of storage."""
        labs.wait_for(lambda: all(
            self.lab.status(n).get('row') == 'waiting for storage'
            for n in self.lab.lab.nodes), 'all have stopped it')

    def _paused(self) -> Trial:
        lab = self.lab
        lab.steady()
        struck = lab.uptime()
        lab.ceph.pause('osd')
        try:
            self.stopped_everywhere()
            time.sleep(max(0.0, struck + self.pause - lab.uptime()))
        finally:
            begin = lab.uptime()
            lab.thaw_storage()
        now = lab.steady()
        back = min(float(words[3]) for words in lab.acked()
                   if float(words[3]) > begin)
        return Trial(back - begin, lab.judge(now), hole=(struck, back))
