# SPDX-License-Identifier: Apache-2.0
"""Watch one cluster: probe it at an interval and tell of changes."""

from collections.abc import Callable
import logging
import threading
import time

from cinder_tagged.ceph import probe as probe_mod

LOG = logging.getLogger(__name__)

Changed = Callable[[probe_mod.Sample | None, probe_mod.Sample], None]


class Monitor:
    """Keeps the latest sample of a cluster, on a thread of its own.

    :param probe: takes a sample; it must not raise for a faulty cluster
    :param interval_s: pause between the end of a probe and the next one
    :param stale_s: age from which the latest sample says nothing any more
    :param changed: called with the sample before (None for the first) and
        the sample after, whenever the state differs, and when the one before
        had become stale: meanwhile others were told that nothing is known
    :param tick: called after each probe, for housekeeping
    """

    def __init__(self, probe: Callable[[], probe_mod.Sample], *,
                 interval_s: float, stale_s: float, changed: Changed,
                 tick: Callable[[], object] = lambda: None,
                 name: str = 'cluster') -> None:
        self._probe = probe
        self._interval_s = interval_s
        self._stale_s = stale_s
        self._changed = changed
        self._tick = tick
        self._name = name
        self._latest: probe_mod.Sample | None = None
        self._one_at_a_time = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def latest(self) -> probe_mod.Sample | None:
        """The latest sample, however old."""
        return self._latest

    @property
    def stale(self) -> bool:
        """Whether the latest sample is too old to say anything."""
        sample = self._latest
        return (sample is None
                or time.monotonic() - sample.taken > self._stale_s)

    def fault(self) -> str:
        """Say why the cluster cannot be reached; '' if it can.

        A sample that is too old proves nothing: then it is '', too.
        """
        sample = self._latest
        if (sample is None or self.stale
                or sample.state is not probe_mod.State.UNREACHABLE):
            return ''
        return sample.reason

    def check(self) -> probe_mod.Sample:
        """Probe now and return what was seen."""
        with self._one_at_a_time:
            # This process, or its whole machine, stood still.
            stale = self.stale
            before, sample = self._latest, self._probe()
            self._latest = sample
        if stale or before is None or before.state is not sample.state:
            self._changed(before, sample)
        return sample

    def start(self) -> None:
        """Probe again and again from now on."""
        self._stop.clear()
        self._thread = threading.Thread(
            target=self._run, name=f'monitor-{self._name}', daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float | None = None) -> None:
        """Probe no more; wait for a probe under way to end."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout_s)
            self._thread = None

    def _run(self) -> None:
        while not self._stop.wait(self._interval_s):
            try:
                self.check()
                self._tick()
            except Exception:
                # The watch must outlive whatever a callback runs into.
                LOG.exception('Watching %s failed once; it goes on.',
                              self._name)
