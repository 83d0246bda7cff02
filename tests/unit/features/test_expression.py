# SPDX-License-Identifier: Apache-2.0
import ddt
import hypothesis
from hypothesis import strategies as st
from oslotest import base

from cinder_tagged import exceptions
from cinder_tagged import features

WORDS = {'ssd': 'medium', 'db': None, 'public': 'type'}


@ddt.ddt
class TestExpression(base.BaseTestCase):

    @ddt.data('ssd', 'ssd & db', 'ssd&db', 'nvme | ssd', '!shared',
              'ssd & !(shared | test)', 'medium:ssd', '!!ssd',
              'nvme | ssd & db', ' ( ssd ) ', '!medium:db')
    def test_matches(self, text):
        expression = features.parse_expression(text)
        self.assertTrue(expression.matches(WORDS))
        self.assertEqual([], expression.reasons(WORDS))

    @ddt.data(('hdd', ['lacks hdd']),
              ('purpose:ssd', ['lacks purpose:ssd']),
              ('ssd & !public & x', ['has public', 'lacks x']),
              ('(nvme | hdd) & ssd', ['has none of: nvme | hdd']))
    @ddt.unpack
    def test_does_not_match_and_says_why(self, text, reasons):
        expression = features.parse_expression(text)
        self.assertFalse(expression.matches(WORDS))
        self.assertEqual(reasons, expression.reasons(WORDS))

    @ddt.data(('', 0), ('ssd &', 5), ('(ssd', 4), ('ssd db', 4), ('a)', 1),
              ('SSD', 0), ('a | | b', 4), ('colour:red', 0),
              ('!' * 40 + 'a', 33), ('a' * 300, 255))
    @ddt.unpack
    def test_unreadable_names_the_position(self, text, position):
        error = self.assertRaises(exceptions.ExpressionError,
                                  features.parse_expression, text)
        self.assertEqual(position, error.position)
        self.assertIn(f'at character {position + 1};', str(error))

    @hypothesis.given(st.text(alphabet='ab:&|!() -', max_size=40))
    def test_any_text_is_read_or_refused_and_reads_back(self, text):
        try:
            expression = features.parse_expression(text)
        except exceptions.ExpressionError:
            return
        again = features.parse_expression(str(expression))
        self.assertEqual(str(expression), str(again))
        for words in ({}, {'a': None}, {'b': None}, {'a': None, 'b': None}):
            self.assertEqual(expression.matches(words), again.matches(words))
            self.assertEqual(expression.matches(words),
                             not expression.reasons(words))
