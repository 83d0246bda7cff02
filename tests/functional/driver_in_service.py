# SPDX-License-Identifier: Apache-2.0
"""cinder-volume's service object with our driver, and a scheduler's ear.

Run by test_driver_service.py as ``PROGRAM CINDER_CONF BACKEND``. Says each
backend state that reaches the scheduler's queue, one line each, until its
standard input ends.
"""

from cinder import monkey_patch

monkey_patch.patch()

import os  # noqa: E402
import sys  # noqa: E402

from cinder import objects  # noqa: E402
from cinder import rpc  # noqa: E402
from cinder import service  # noqa: E402
from cinder.db import migration  # noqa: E402
from oslo_config import cfg  # noqa: E402
import oslo_messaging as messaging  # noqa: E402


def say(*words):
    """Print a line in one piece: two threads do."""
    sys.stdout.write(' '.join(map(str, words)) + '\n')
    sys.stdout.flush()


class Ear:
    """Hears what volume services tell schedulers."""

    target = messaging.Target(version='3.12')

    def __init__(self):
        self.last = None

    def update_service_capabilities(self, context, capabilities, **ignored):
        state = capabilities['backend_state']
        if state != self.last:
            self.last = state
            say('told', state, *capabilities['feature_tags'])

    def notify_service_capabilities(self, context, **ignored):
        pass


def main():
    conf, backend = sys.argv[1:]
    objects.register_all()
    cfg.CONF([], project='cinder', default_config_files=[conf],
             default_config_dirs=[])
    migration.db_sync()
    rpc.init(cfg.CONF)
    ear = rpc.get_server(
        messaging.Target(topic='cinder-scheduler', server='node1'), [Ear()])
    ear.start()
    volume = service.Service.create(
        host=f'node1@{backend}', service_name=backend,
        binary='cinder-volume', topic='cinder-volume',
        manager='cinder.volume.manager.VolumeManager')
    volume.start()
    say('started', volume.manager.is_working())
    sys.stdin.read()
    volume.manager.driver.close()
    # As the launcher of services ends its children: not waiting for timers.
    os._exit(0)


if __name__ == '__main__':
    main()
