# SPDX-License-Identifier: Apache-2.0
"""The driver as cinder-volume has it by default: on green threads.

Run by test_driver_eventlet.py as ``PROGRAM CINDER_CONF BACKEND``. It says
on standard output what it sees, one line each.
"""

from cinder import monkey_patch

monkey_patch.patch()

import sys  # noqa: E402
import time  # noqa: E402

from cinder import utils  # noqa: E402
import futurist  # noqa: E402
from oslo_config import cfg  # noqa: E402

from tests.functional import cinder_driver  # noqa: E402

WAIT_S = 120


def say(*words):
    print(*words, flush=True)


def wait_state(driver, state):
    end = time.monotonic() + WAIT_S
    while driver.get_volume_stats(refresh=True)['backend_state'] != state:
        if time.monotonic() > end:
            sys.exit(f'not {state} in time')
        time.sleep(0.05)
    say(state)


def create_many(driver):
    volumes = [cinder_driver.volume() for _ in range(16)]
    with futurist.GreenThreadPoolExecutor(8) as pool:
        list(pool.map(driver.create_volume, volumes))
    say('created', *(volume.name for volume in volumes))


def main():
    if utils.concurrency_mode_threading():
        sys.exit('this process does not run on green threads')
    conf, backend = sys.argv[1:]
    cfg.CONF([], project='cinder', default_config_files=[conf],
             default_config_dirs=[])
    driver = cinder_driver.make_driver(backend)
    cinder_driver.set_up(driver)
    wait_state(driver, 'up')
    create_many(driver)
    wait_state(driver, 'down')
    wait_state(driver, 'up')
    create_many(driver)
    driver.close()
    say('closed')


if __name__ == '__main__':
    main()
