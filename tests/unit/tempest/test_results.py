# SPDX-License-Identifier: Apache-2.0

from oslotest import base

from devstack.tempest import results

_OUTPUT = """
{0} tempest.api.volume.test_a.TestA.test_one[id-1,smoke] [1.52s] ... ok
{1} tempest.api.volume.test_a.TestA.test_two[id-2] [0.10s] ... FAILED
{1} tempest.api.volume.test_a.TestA.test_three[id-3] ... SKIPPED: no backup
{0} setUpClass (tempest.api.volume.admin.test_b.TestB) ... SKIPPED: no swift

Captured traceback:
    {0} is no test ... ok
 - Passed: 1
"""


def read(output):
    return dict(filter(None, map(results.read_line, output.splitlines())))


_A = 'tempest.api.volume.test_a.TestA.'
_B = 'tempest.api.volume.admin.test_b.TestB'


class ResultsTest(base.BaseTestCase):

    def test_reads_what_tempest_prints(self):
        self.assertEqual({
            _A + 'test_one': 'ok', _A + 'test_two': 'FAILED',
            _A + 'test_three': 'SKIPPED: no backup',
            _B: 'SKIPPED: no swift'}, read(_OUTPUT))

    def test_what_passes_with_one_only(self):
        stock = read(_OUTPUT)
        tagged = {**stock, _A + 'test_one': 'SKIPPED: no',
                  _A + 'test_two': 'ok'}
        compared = results.Comparison(stock, tagged)
        self.assertEqual([_A + 'test_one'], compared.worse)
        self.assertEqual([_A + 'test_two'], compared.better)
        del tagged[_A + 'test_one']
        self.assertEqual([_A + 'test_one'], compared.worse)
        self.assertEqual([
            ('tempest.api.volume.admin', '0', '0', '1', '0', '0', '1'),
            ('tempest.api.volume', '1', '1', '1', '1', '0', '1'),
            ('all', '1', '1', '2', '1', '0', '2')], compared.rows())
        said = results.text(compared)
        self.assertIn('tempest.api.volume ', said)
        self.assertIn(f'passed with stock only:\n  {_A}test_one', said)

    def test_why_tests_were_skipped_or_failed(self):
        stock = read(_OUTPUT)
        compared = results.Comparison(stock, {**stock, _B: 'ok'})
        self.assertEqual([('no backup', '1', '1'), ('no swift', '1', '0')],
                         compared.skipped())
        self.assertEqual([_A + 'test_two'], compared.failed)
