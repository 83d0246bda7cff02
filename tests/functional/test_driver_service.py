# SPDX-License-Identifier: Apache-2.0

import os
import pathlib
import subprocess
import sys
import threading

from tests.functional import driver_base

ROOT = pathlib.Path(__file__).resolve().parents[2]


class ServiceTest(driver_base.DriverCase):
    """What schedulers hear from a service whose cluster comes and goes."""

    def start_service(self):
        self.conf(east={})
        conf = self.directory / 'cinder.conf'
        conf.write_text(conf.read_text().replace(
            '[DEFAULT]', '[DEFAULT]\ntransport_url = fake:/\n'
            f'state_path = {self.directory}\n'
            # Nothing is heard by way of the periodic task.
            'backend_stats_polling_interval = 3600\n') + (
                '[database]\n'
                f'connection = sqlite:///{self.directory}/cinder.sqlite\n'))
        child = subprocess.Popen(
            [sys.executable, '-W', 'ignore', '-m',
             'tests.functional.driver_in_service', conf, 'east'],
            cwd=ROOT, text=True, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, env={
                **os.environ, 'PYTHONPATH': str(ROOT),
                'OS_CINDER_DISABLE_EVENTLET_PATCHING': '1'})
        self.addCleanup(child.wait)
        self.addCleanup(child.stdout.close)
        self.addCleanup(child.stdin.close)
        self.addCleanup(child.kill)
        # A reader of lines cannot be given a limit, its writer can.
        watchdog = threading.Timer(3 * driver_base.WAIT, child.kill)
        watchdog.start()
        self.addCleanup(watchdog.cancel)
        return child

    def test_schedulers_are_told_of_each_change(self):
        self.addCleanup(self.cluster.resume)
        self.cluster.pause()
        child = self.start_service()
        # The bus carries the first report while the service starts: either
        # line may be first.
        first = {child.stdout.readline().strip() for _ in range(2)}
        self.assertEqual({'told down ssd', 'started True'}, first)
        self.cluster.resume()
        self.assertEqual('told up ssd', child.stdout.readline().strip())
        self.cluster.pause('osd')
        self.assertEqual('told down ssd', child.stdout.readline().strip())
        self.cluster.resume('osd')
        self.assertEqual('told up ssd', child.stdout.readline().strip())
        child.stdin.close()
        self.assertEqual('', child.stdout.read())
        child.wait(driver_base.WAIT)
