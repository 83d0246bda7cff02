# SPDX-License-Identifier: Apache-2.0
"""The rules; each module looks at one thing."""

from cinder_tagged.check import model
from cinder_tagged.check.rules import backends
from cinder_tagged.check.rules import ceph
from cinder_tagged.check.rules import files
from cinder_tagged.check.rules import glance
from cinder_tagged.check.rules import hosts
from cinder_tagged.check.rules import nova
from cinder_tagged.check.rules import reach
from cinder_tagged.check.rules import scheduling
from cinder_tagged.check.rules import secrets

_ALL = (files, backends, scheduling, ceph, secrets, glance, nova, hosts,
        reach)


def findings(site: model.Site) -> list[model.Finding]:
    """Return all that is to be said, worst first, otherwise as found."""
    found = [finding for room in _ALL for finding in room.find(site)]
    unique = dict.fromkeys(found)
    return sorted(unique, key=lambda finding: -finding.severity)
