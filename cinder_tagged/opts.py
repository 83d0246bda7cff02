# SPDX-License-Identifier: Apache-2.0
"""Every option of the suite, for oslo.config's sample generator."""

from typing import Any

from cinder_tagged.ha import options as ha
from cinder_tagged.ha.fence import options as fence
from cinder_tagged.resume import options as resume
from cinder_tagged.scheduler import options as scheduler
from cinder_tagged.volume import options as volume_options


def list_opts() -> list[tuple[str, list[Any]]]:
    """Return (group, options) pairs; each room registers its own."""
    return [
        (fence.GROUP, fence.OPTS),
        (scheduler.GROUP, scheduler.OPTS),
        *volume_options.list_opts(),
        *ha.list_opts(),
        *resume.list_opts(),
    ]
