# SPDX-License-Identifier: Apache-2.0

import re
import subprocess
import sys

from oslotest import base

_DEADLINE_S = 600
# Far fewer would mean that the cases have moved elsewhere.
_AT_LEAST = 140


class StockCasesTest(base.BaseTestCase):

    def test_cinders_own_cases_pass(self):
        done = subprocess.run(
            [sys.executable, '-W', 'ignore', '-m', 'unittest',
             'tests.unit.volume.stock_cases'], text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=_DEADLINE_S, check=False)
        self.assertEqual(0, done.returncode, done.stdout[-8000:])
        ran = re.search(r'^Ran (\d+) tests', done.stdout, re.MULTILINE)
        self.assertGreaterEqual(int(ran[1]), _AT_LEAST)
