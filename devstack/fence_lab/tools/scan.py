# SPDX-License-Identifier: Apache-2.0
"""Print how many of a device's blocks each owner wrote last (JSON)."""

import collections
import json
import mmap
import os
import sys

SIZE = 4096


def owners(device, blocks):
    found = collections.Counter()
    fd = os.open(device, os.O_RDONLY | os.O_DIRECT)
    buffer = mmap.mmap(-1, SIZE)
    for number in range(blocks):
        os.preadv(fd, [buffer], number * SIZE)
        text = buffer[:].rstrip(b' \0').decode(errors='replace')
        found[json.loads(text)['owner'] if text else ''] += 1
    return found


if __name__ == '__main__':
    print(json.dumps(owners(sys.argv[1], int(sys.argv[2]))))
