# SPDX-License-Identifier: Apache-2.0
import ddt
from oslotest import base

from cinder_tagged.resume.core import decide
from cinder_tagged.resume.core.decide import State
from cinder_tagged.resume.core.decide import Verdict
from cinder_tagged.resume.core.operations import OPERATIONS


def facts(method='create_volume', state=State.RUNNING, owner_fenced=True,
          lost=True, attempts=0, status='creating', image_status=None):
    return decide.Facts(OPERATIONS[method], state, owner_fenced, lost,
                        attempts, status, image_status)


@ddt.ddt
class TestDecide(base.BaseTestCase):

    def verdict(self, **values):
        return decide.decide(facts(**values), max_attempts=3).verdict

    @ddt.data(
        (Verdict.REDO, {}),
        (Verdict.REDO, {'state': State.SCHEDULING}),
        (Verdict.REDO, {'status': 'downloading'}),
        (Verdict.LEAVE, {'owner_fenced': False, 'lost': True}),
        (Verdict.LEAVE, {'owner_fenced': None}),
        (Verdict.CLOSE, {'status': 'available'}),
        (Verdict.CLOSE, {'status': 'error'}),
        (Verdict.CLOSE, {'status': None}),
        (Verdict.FAIL, {'attempts': 3}),
        (Verdict.LEAVE, {'state': State.CAST, 'owner_fenced': None,
                         'lost': False}),
        (Verdict.REDO, {'state': State.CAST, 'owner_fenced': None,
                        'lost': True}),
        (Verdict.REDO, {'state': State.SCHEDULED, 'owner_fenced': None,
                        'lost': True}),
        (Verdict.REDO, {'method': 'delete_volume', 'status': 'deleting'}),
        (Verdict.CLOSE, {'method': 'delete_volume', 'status': None}),
        (Verdict.REDO, {'method': 'copy_volume_to_image',
                        'status': 'uploading', 'image_status': 'queued'}),
        (Verdict.FAIL, {'method': 'copy_volume_to_image',
                        'status': 'uploading', 'image_status': 'saving'}),
        (Verdict.FINISH, {'method': 'copy_volume_to_image', 'attempts': 3,
                          'status': 'uploading', 'image_status': 'active'}),
    )
    @ddt.unpack
    def test_verdicts(self, verdict, values):
        self.assertEqual(verdict, self.verdict(**values))

    def test_owned_work_is_never_done_again_while_the_owner_may_write(self):
        for state in decide.OWNED:
            for status in ('creating', 'available', None):
                self.assertEqual(Verdict.LEAVE, self.verdict(
                    state=state, owner_fenced=False, status=status))

    @ddt.data((True, True, 'creating', True), (False, True, 'creating', False),
              (False, False, 'creating', True),
              (False, False, 'available', False),
              (False, False, None, False))
    @ddt.unpack
    def test_which_messages_are_carried_out(self, claimed, known, status,
                                            runs):
        self.assertEqual(runs, decide.may_run(
            claimed, known, status, OPERATIONS['create_volume']))
