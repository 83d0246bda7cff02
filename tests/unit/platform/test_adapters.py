# SPDX-License-Identifier: Apache-2.0
"""Processes, tools and containers, with real processes of our own."""

import json
from pathlib import Path
import subprocess
import threading
import time
import types

import fixtures
from oslotest import base

from cinder_tagged.ha.adapters import resources
from cinder_tagged.ha.platform import exceptions
from cinder_tagged.ha.platform import resource
from cinder_tagged.ha.platform.adapters import command
from cinder_tagged.ha.platform.adapters import container
from cinder_tagged.ha.platform.adapters import process

#: Starts what "run" is asked for, and then fails, as one that was broken off.
FAILING = '''#!/bin/sh
[ "$1" = run ] || exit 0
for word in "$@"; do case $word in --pidfile=*) file=${word#*=};; esac; done
sleep 60 > /dev/null 2>&1 &
echo $! > "$file"
exit 125
'''


class AdapterTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.directory = Path(self.useFixture(fixtures.TempDir()).path)

    def sleeper(self):
        child = subprocess.Popen(['sleep', '60'])
        self.addCleanup(child.wait, 10)
        self.addCleanup(child.kill)
        return child


class ProcessTest(AdapterTestCase):

    def test_strike_waits_for_nothing_and_hits_no_other(self):
        child = self.sleeper()
        began = process.began(child.pid)
        self.assertFalse(process.strike(child.pid, 'another start'))
        self.assertIsNone(child.poll())
        self.assertTrue(process.strike(child.pid, began))
        self.assertEqual(-9, child.wait(10))
        self.assertFalse(process.strike(child.pid, began))


class CommandTest(AdapterTestCase):

    def test_broken_off_before_it_begins(self):
        cancel, path = threading.Event(), self.directory / 'file'
        cancel.set()
        self.assertRaises(exceptions.Cancelled, command.run,
                          ['touch', str(path)], 10, cancel)
        self.assertFalse(path.exists())


class PodmanTest(AdapterTestCase):

    def test_container_of_a_start_that_failed_is_known(self):
        tool = self.directory / 'tool'
        tool.write_text(FAILING)
        tool.chmod(0o755)
        podman = container.Podman('app', types.SimpleNamespace(
            container_command=str(tool), container_options=[],
            environment=[], environment_file='', ports=[], network='host',
            data_dir='/data', run_options=[], image='i', command=[],
            start_deadline=10, kill_deadline=10), self.directory,
            self.directory)
        self.assertRaises(exceptions.ToolError, podman.start, {},
                          threading.Event())
        self.assertTrue(podman.running)
        podman.kill()
        self.assertFalse(podman.running)


class Keeper:
    """Instead of a keeper: what it was told is in a file."""

    def __init__(self, path):
        self.path = path

    def spawn(self):
        with self.path.open('w') as target:
            return subprocess.Popen(['cat'], stdin=subprocess.PIPE,
                                    stdout=target, text=True)

    def told(self):
        lines = self.path.read_text().splitlines()
        return json.loads(lines[-1]) if lines else {}


class ResourceTest(AdapterTestCase):

    def test_keeper_is_told_how_long_the_authority_lasts(self):
        keeper = Keeper(self.directory / 'told')

        class Platform(resource.Platform):
            def _spawn(self):
                return keeper.spawn()

        own = types.SimpleNamespace(stop_deadline=1.0, kill_deadline=1.0)
        # What it starts ends with this process.
        platform = Platform('app', {'ha_platform_app': own})
        group = resources.Group('control', [platform])
        group.prolong(123.5)
        self.assertEqual([], group.start(7, '10.0.0.1'))
        wanted = {'master': True, 'epoch': 7, 'until': 123.5}
        end = time.monotonic() + 20
        while keeper.told() != wanted and time.monotonic() < end:
            time.sleep(0.05)
        self.assertEqual(wanted, keeper.told())
