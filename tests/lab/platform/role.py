# SPDX-License-Identifier: Apache-2.0
"""The agent's end of a platform, with the role read from a file.

Runs in a machine of the lab: role.py CONF ROLE. The file has "master EPOCH"
or "slave"; who writes it is the election, that the lab does without.
"""

from pathlib import Path
import sys
import time

from cinder_tagged.ha.adapters import resources
from cinder_tagged.ha.platform import cli
from cinder_tagged.ha.platform import resource

#: Seconds that the word of this end counts.
HOLD = 5.0


def main(conf: str, role: str) -> None:
    """Follow the file for ever."""
    platform = resource.Platform('app', cli.load([conf]))
    before = ['slave']
    while True:
        words = Path(role).read_text().split()
        try:
            platform.prolong(time.monotonic() + HOLD)
            if words != before and words[0] == 'master':
                platform.start({'CINDER_TAGGED_HA_EPOCH': words[1]})
            elif words[0] == 'slave':
                platform.stop()
            before = words
        except resources.ResourceError as exc:
            print(exc, flush=True)
        time.sleep(0.1)


if __name__ == '__main__':
    main(*sys.argv[1:])
