# SPDX-License-Identifier: Apache-2.0
"""Put fencing together from configuration: for commands and for agents.

    from cinder_tagged.ha.fence import assembly, options
    options.register(CONF)
    fence = assembly.assemble(CONF)
    fence.watcher.watch(stop)                   # until the event is set
    fence.fencer.run(fence.fencer.order('vg'))  # one run, now
    fence.fencer.recover('vg')
"""

from dataclasses import dataclass

from oslo_config import cfg

from cinder_tagged.ha.fence.adapters.multipath import Multipath
from cinder_tagged.ha.fence.adapters.records import RecordStore
from cinder_tagged.ha.fence.fencer import Fencer
from cinder_tagged.ha.fence.node import LocalNode
from cinder_tagged.ha.fence.watcher import Watcher


@dataclass(frozen=True)
class Fence:
    node: LocalNode
    fencer: Fencer
    watcher: Watcher


def assemble(conf: cfg.ConfigOpts) -> Fence:
    """Return fencing for this node; ``conf`` has group [fence]."""
    fence = conf.fence
    node = LocalNode(
        Multipath(fence.multipath_conf_dir, fence.command_deadline),
        fence.command_deadline, fence.recover_deadline, fence.holders,
        fence.libvirt_uri)
    fencer = Fencer(node, RecordStore(fence.state_dir), fence.run_deadline)
    watcher = Watcher(
        node, fencer, fence.volume_groups, fence.grace, fence.interval,
        fence.recover_after if fence.auto_recover else None)
    return Fence(node, fencer, watcher)
