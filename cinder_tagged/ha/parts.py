# SPDX-License-Identifier: Apache-2.0
"""Parts that the agent is put together from."""

from collections.abc import Callable
import queue
import threading
from typing import Any

from oslo_log import log as logging

from cinder_tagged.ha.adapters import etcd
from cinder_tagged.ha.adapters import probes

LOG = logging.getLogger(__name__)

Task = Callable[[], object]


class Worker(threading.Thread):
    """Runs tasks one after the other, off the deciding thread."""

    def __init__(self, name: str) -> None:
        super().__init__(daemon=True, name=name)
        self._tasks: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self.start()

    def put(self, task: Task) -> None:
        self._tasks.put(task)

    def finish(self, deadline: float) -> None:
        """Run what is queued, then end; give up after ``deadline`` s."""
        self._tasks.put(None)
        self.join(deadline)

    def run(self) -> None:
        while (task := self._tasks.get()) is not None:
            try:
                task()
            except Exception:
                LOG.exception('A task of %s failed', self.name)


def access(conf: Any) -> etcd.Access:
    """How to reach etcd, from the options."""
    password = ''
    if conf.ha_etcd.password_file:
        with open(conf.ha_etcd.password_file) as source:
            password = source.read().strip()
    return etcd.Access(
        tuple(conf.ha_etcd.endpoints), conf.ha_etcd.prefix,
        conf.ha_etcd.ca_file, conf.ha_etcd.cert_file, conf.ha_etcd.key_file,
        conf.ha_etcd.user, password)


def probe_watches(conf: Any,
                  changed: Callable[[], None]) -> dict[str, probes.Watch]:
    """The node's probes, not started yet."""
    own = conf.ha_probes
    watches = {}
    for text in own.services:
        probe, target = probes.parse(text)
        watches[text] = probes.Watch(text, probe, target, own.period,
                                     own.deadline, own.fall, changed)
    if own.ceph_conf:
        watches['rbd'] = probes.Watch(
            'rbd', probes.RbdProbe(own.ceph_conf, own.ceph_user,
                                   own.ceph_pool, conf.ha.node),
            '', own.period, own.deadline, own.fall, changed)
    return watches


def boot_id() -> str:
    """This machine's boot, '' if the kernel does not tell."""
    try:
        with open('/proc/sys/kernel/random/boot_id') as source:
            return source.read().strip()
    except OSError:
        return ''
