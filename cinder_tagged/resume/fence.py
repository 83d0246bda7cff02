# SPDX-License-Identifier: Apache-2.0
"""Cutting a fenced process off its clusters."""

from collections.abc import Callable
import time
from typing import Any

from oslo_log import log as logging

from cinder_tagged.resume.journal import Incarnation
from cinder_tagged.resume.journal import Journal

LOG = logging.getLogger(__name__)

#: How long a dead process's client stays on a cluster's blocklist, seconds.
#: Its address is never used again, so this only bounds the list.
BLOCKLIST_FOR = 24 * 3600

#: Calls a function with a connected client of the cluster of this fsid;
#: raises LookupError where this process has no way to that cluster.
Reach = Callable[[str, Callable[[Any], None]], None]


def cut(journal: Journal, incarnation: Incarnation, reach: Reach) -> None:
    """Blocklist the Ceph clients of a fenced process, where this one can.

    Once all are, its work may be taken over.
    """
    if not incarnation.clients:
        journal.mark_cut(incarnation.id)
    for fsid, addresses in incarnation.clients.items():
        began = time.monotonic()
        try:
            reach(fsid, lambda client, at=tuple(addresses): [
                client.blocklist_add(_plain(address), BLOCKLIST_FOR)
                for address in at])
        except LookupError:
            # Left to a service of that cluster.
            continue
        except Exception as error:
            LOG.warning('The clients of %s (%s) are not cut off the cluster '
                        '%s yet: %s', incarnation.host, incarnation.id, fsid,
                        error)
            continue
        journal.cut_from(incarnation.id, fsid)
        LOG.warning('Cut off %s of %s (process %s on %s; %s): %d client(s) '
                    'blocklisted on the cluster %s in %.0f ms: %s.',
                    incarnation.kind, incarnation.host, incarnation.pid,
                    incarnation.node, incarnation.why, len(addresses), fsid,
                    (time.monotonic() - began) * 1000, ', '.join(addresses))


def _plain(address: str) -> str:
    """Return ``ip:port/nonce`` of what librados calls its address."""
    return address.rpartition('v2:')[2].rpartition('v1:')[2].strip('[]')
