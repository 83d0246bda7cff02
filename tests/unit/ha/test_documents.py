# SPDX-License-Identifier: Apache-2.0
"""What the documents and unit files promise is there."""

import ast
from pathlib import Path
import re
import subprocess
import tempfile

from oslotest import base

from cinder_tagged.ha.sim import faults

ROOT = Path(__file__).resolve().parents[3]
ROW = re.compile(r'   \* - (.+)\n     - (.+)\n     - ``([\w.]+?)(?: '
                 r'\(([\w ]+)\))?``')


class FaultsTest(base.BaseTestCase):
    """doc/source/ha/faults.rst names a test for each kind of fault."""

    def setUp(self):
        super().setUp()
        self.text = (ROOT / 'doc/source/ha/faults.rst').read_text()
        self.rows = ROW.findall(self.text)

    def test_thirty_kinds_or_more(self):
        self.assertEqual(self.text.count('   * - '), len(self.rows) + 1)
        names = {row[0] for row in self.rows}
        self.assertEqual(len(self.rows), len(names))
        self.assertGreaterEqual(len(names), 30)

    def test_every_test_exists(self):
        for fault, _, name, _ in self.rows:
            self.assertTrue(self._exists(name), f'{fault}: no test {name}')

    @staticmethod
    def _exists(name):
        module, *rest = name.split('.')
        for package in ('tests.unit.ha', 'tests.functional.ha'):
            path = ROOT.joinpath(*package.split('.'), f'{module}.py')
            if not path.exists():
                continue
            # Read, not imported: functional tests bring much with them.
            found = ast.parse(path.read_text())
            for part in rest:
                found = next((n for n in getattr(found, 'body', ())
                              if getattr(n, 'name', '') == part), None)
            if found is not None:
                return True
        return False

    def test_every_simulated_fault_exists_and_is_named(self):
        named = {row[3] for row in self.rows if row[3]} - {'every seed'}
        self.assertEqual(set(), named - set(faults.FAULTS))


class UnitFilesTest(base.BaseTestCase):

    def _verify(self, text):
        """What systemd itself has to say of a unit file."""
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / 'cinder-tagged-ha.service'
            # The program need not be installed here, nor its manual.
            path.write_text(re.sub(
                '^Documentation=.*\n', '', text.replace(
                    '/usr/bin/cinder-tagged-ha', '/bin/true'), flags=re.M))
            done = subprocess.run(
                ['systemd-analyze', 'verify', '--man=no', str(path)],
                capture_output=True, text=True, timeout=60, check=False)
        return (done.stdout + done.stderr).replace(directory, '')

    def test_systemd_has_nothing_to_say_of_the_service(self):
        text = (ROOT / 'etc/systemd/cinder-tagged-ha.service').read_text()
        self.assertEqual('', self._verify(text))

    def test_systemd_would_tell_of_a_mistake(self):
        text = (ROOT / 'etc/systemd/cinder-tagged-ha.service').read_text()
        self.assertIn('Restrat', self._verify(
            text.replace('Restart=always', 'Restrat=always')))

    def test_service_runs_without_root_and_with_two_capabilities(self):
        text = (ROOT / 'etc/systemd/cinder-tagged-ha.service').read_text()
        self.assertIn('\nUser=cinder-tagged\n', text)
        self.assertIn('\nCapabilityBoundingSet=CAP_NET_ADMIN CAP_NET_RAW\n',
                      text)
