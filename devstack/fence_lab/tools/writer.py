# SPDX-License-Identifier: Apache-2.0
"""Write stamped blocks to a device without cache, and say how it went.

    writer.py DEVICE OWNER REPORT [BLOCKS]

Each 4 KiB block carries owner, number and time.  REPORT is a JSON file,
renewed four times a second: writes done, the longest gap between two that
worked, when the first failed, when the last worked (seconds since boot).
"""

import json
import mmap
import os
import sys
import time

SIZE = 4096
PAUSE = 0.1


def now():
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def stamp(buffer, owner, number):
    text = json.dumps({'owner': owner, 'number': number, 'at': now()})
    buffer.seek(0)
    buffer.write(text.encode().ljust(SIZE, b' '))


class Writer:
    def __init__(self, device, owner, report, blocks):
        self.device, self.owner, self.report = device, owner, report
        self.blocks = blocks
        self.buffer = mmap.mmap(-1, SIZE)
        self.state = {'done': 0, 'errors': 0, 'longest_gap': 0.0,
                      'first_error': None, 'last_done': None,
                      'done_after_error': 0, 'began': now(), 'gap_at': None}
        self.reported = 0.0

    def note(self, worked, at):
        state = self.state
        if worked:
            last = state['last_done'] or state['began']
            if at - last > state['longest_gap']:
                state['longest_gap'], state['gap_at'] = at - last, last
            state['last_done'] = at
            state['done'] += 1
            state['done_after_error'] += state['first_error'] is not None
        else:
            state['errors'] += 1
            if state['first_error'] is None:
                state['first_error'] = at
        if at - self.reported > 0.25:
            self.reported = at
            self.save()

    def save(self):
        with open(self.report + '.new', 'w') as file:
            json.dump(self.state, file)
        os.replace(self.report + '.new', self.report)

    def write(self, number):
        stamp(self.buffer, self.owner, number)
        os.pwrite(self.fd, self.buffer, number % self.blocks * SIZE)

    def loop(self):
        self.fd = os.open(self.device, os.O_RDWR | os.O_DIRECT)
        number = 0
        while True:
            try:
                self.write(number)
                worked = True
            except OSError:
                worked = False
            self.note(worked, now())
            number += 1
            time.sleep(PAUSE)


if __name__ == '__main__':
    device, owner, report, *more = sys.argv[1:]
    Writer(device, owner, report, int(more[0]) if more else 256).loop()
