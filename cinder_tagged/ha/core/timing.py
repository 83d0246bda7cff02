# SPDX-License-Identifier: Apache-2.0
"""The clockwork of the agent, and the rules that its figures must obey.

All figures are seconds.  ``hold`` is the one that safety hangs on: a holder's
authority ends ``hold`` after it *sent* its last confirmed renewal, and a
taker waits ``wait(hold)`` from the moment at which it knew that renewal.
"""

from collections.abc import Iterator
import dataclasses


@dataclasses.dataclass(frozen=True, slots=True)
class Timing:
    """Periods and limits of one agent; every node of a cloud has the same."""

    beat: float = 0.05
    suspect: float = 0.3
    hold: float = 0.6
    renew: float = 0.1
    margin: float = 0.03
    request: float = 0.25
    stagger: float = 0.1
    poll_idle: float = 1.0
    announce: float = 1.0
    switch: float = 5.0
    conflict: float = 10.0
    bury: float = 2.0
    drift: float = 0.001
    slow_factor: int = 20
    etcd_election: float = 0.2

    def wait(self, hold: float) -> float:
        """Seconds after which a peer's authority of ``hold`` is surely over.

        Both clocks may run off by ``drift``; the margin covers the grain of
        the kernel's timers.
        """
        return hold * (1 + 2 * self.drift) + self.margin

    @property
    def worst_takeover(self) -> float:
        """Bound on a takeover from a dead holder with a sound etcd.

        Suspicion and expiry run side by side.  The expiry is counted from
        the last renewal seen; one that nobody saw is found by the reads
        that start as soon as one beat is missing.
        """
        unseen = 2 * self.beat
        expiry = unseen + self.wait(self.hold)
        suspicion = self.suspect + 3 * self.beat + self.stagger
        return max(expiry, suspicion) + 2 * self.request

    @property
    def usual_takeover(self) -> float:
        """Expected takeover from a dead holder, requests taken as instant."""
        seen = self.wait(self.hold) - self.renew / 2
        return max(seen, self.suspect + 1.5 * self.beat)


PROFILES = {
    'fast': Timing(
        beat=0.03, suspect=0.15, hold=0.25, renew=0.05, margin=0.015,
        request=0.12, stagger=0.06, etcd_election=0.1),
    'default': Timing(),
    'calm': Timing(
        beat=0.2, suspect=1.0, hold=3.0, renew=0.5, margin=0.1,
        request=1.2, stagger=0.4, poll_idle=2.0, announce=5.0, switch=15.0,
        conflict=30.0, bury=6.0, etcd_election=1.0),
}


def problems(timing: Timing) -> Iterator[str]:
    """Yield one sentence for each rule that the figures break."""
    t = timing
    for name in ('beat', 'suspect', 'hold', 'renew', 'margin', 'request',
                 'stagger', 'poll_idle', 'announce', 'switch', 'conflict',
                 'bury'):
        value = getattr(t, name)
        if value <= 0:
            yield f'{name} = {value}: it must be more than 0 seconds.'
    if t.bury < 2 * t.suspect:
        yield (f'bury = {t.bury} is less than 2 x suspect = '
               f'{2 * t.suspect:g}: a short silence would count as a death; '
               'raise bury.')
    if t.suspect < 3 * t.beat:
        yield (f'suspect = {t.suspect} is less than 3 x beat = {3 * t.beat:g}'
               ': two lost datagrams would be taken for a death; raise '
               'suspect or lower beat.')
    if t.hold < 3 * t.renew:
        yield (f'hold = {t.hold} is less than 3 x renew = {3 * t.renew:g}'
               ': one slow renewal would drop the address; raise hold or '
               'lower renew.')
    if t.hold < t.renew + t.request:
        yield (f'hold = {t.hold} is less than renew + request = '
               f'{t.renew + t.request:g}: a renewal that etcd answers just '
               'in time would come too late; lower request or raise hold.')
    if t.hold < 2 * t.etcd_election:
        yield (f'hold = {t.hold} is less than 2 x etcd_election = '
               f'{2 * t.etcd_election:g}: an election in etcd would drop '
               'the address; raise hold, or lower the election timeout of '
               'etcd and etcd_election with it.')
    if t.margin < 0.01:
        yield (f'margin = {t.margin} is less than 0.01: the kernel may let '
               'go one tick late; raise margin.')
    if t.suspect + t.margin >= t.hold + 3 * t.beat:
        yield (f'suspect + margin = {t.suspect + t.margin:g} is not below '
               f'hold + 3 x beat = {t.hold + 3 * t.beat:g}: takeovers would '
               'wait for suspicion, not for expiry; lower suspect.')
    if t.stagger < t.beat:
        yield (f'stagger = {t.stagger} is less than beat = {t.beat}: '
               'several nodes would claim at once; raise stagger.')
    if not 0 <= t.drift <= 0.05:
        yield (f'drift = {t.drift} is not in 0..0.05: it is the fraction by '
               'which two clocks may run apart.')
    if t.slow_factor < 2:
        yield (f'slow_factor = {t.slow_factor} is less than 2: give the '
               'number of beats between two beats to a far node.')
