# SPDX-License-Identifier: Apache-2.0
"""Nova's tests, in a process of their own.

Nova and Cinder register options of the same names on the same global
object, so no process can import both. The tests are in tests/unit_nova;
``stestr --test-path ./tests/unit_nova run`` runs them with names and times.
"""

import pathlib
import subprocess
import sys

from oslotest import base

ROOT = pathlib.Path(__file__).resolve().parents[3]
DEADLINE_S = 300


class NovaHooksTest(base.BaseTestCase):

    def test_all(self):
        done = subprocess.run(
            [sys.executable, '-m', 'unittest', 'discover', '-t', '.', '-s',
             'tests/unit_nova'],
            cwd=ROOT, timeout=DEADLINE_S, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual(0, done.returncode, done.stdout)
        self.assertNotIn('Ran 0 tests', done.stdout)
