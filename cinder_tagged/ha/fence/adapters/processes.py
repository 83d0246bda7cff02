# SPDX-License-Identifier: Apache-2.0
"""This process, as the kernel knows it."""

import os
import time


def age() -> float:
    """Return the seconds since this process was started.

    A starved node may need long to load a program; that counts too.
    """
    with open('/proc/self/stat') as file:
        # The second field may hold blanks and parentheses.
        fields = file.read().rpartition(')')[2].split()
    ticks = int(fields[19])
    return (time.clock_gettime(time.CLOCK_BOOTTIME)
            - ticks / os.sysconf('SC_CLK_TCK'))
