# SPDX-License-Identifier: Apache-2.0

import os
import pathlib
import subprocess
import sys
import threading

from tests.functional import driver_base

ROOT = pathlib.Path(__file__).resolve().parents[2]


class EventletTest(driver_base.DriverCase):
    """Services that still run on green threads must not be held up."""

    def test_works_and_sees_an_outage(self):
        self.conf(east={})
        environment = {**os.environ, 'PYTHONPATH': str(ROOT)}
        environment.pop('OS_CINDER_DISABLE_EVENTLET_PATCHING', None)
        child = subprocess.Popen(
            [sys.executable, '-W', 'ignore', '-m',
             'tests.functional.driver_under_eventlet',
             self.directory / 'cinder.conf', 'east'],
            cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE)
        self.addCleanup(child.wait)
        self.addCleanup(child.stdout.close)
        self.addCleanup(child.kill)
        # A reader of lines cannot be given a limit, its writer can.
        watchdog = threading.Timer(2 * driver_base.WAIT, child.kill)
        watchdog.start()
        self.addCleanup(watchdog.cancel)

        self.addCleanup(self.cluster.resume, 'osd')
        said = [child.stdout.readline().split() for _ in range(2)]
        self.cluster.pause('osd')
        said.append(child.stdout.readline().split())
        self.cluster.resume('osd')
        said += [line.split() for line in child.stdout]
        self.assertEqual(['up', 'created', 'down', 'up', 'created',
                          'closed'], [words[0] for words in said])
        names = {*said[1][1:], *said[4][1:]}
        self.assertEqual(32, len(names))
        self.assertTrue(names.issubset(self.cluster.images()))
        self.assertEqual(0, child.wait(driver_base.WAIT))
