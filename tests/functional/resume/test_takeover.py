# SPDX-License-Identifier: Apache-2.0
"""A node dies under load: no accepted request is lost."""

import time

from tests.functional.resume import base

#: Under load before and after the fault, seconds.
_LOAD_S = 5


class TestTakeover(base.ResumeTestCase):
    """Three nodes; nobody says that one is dead, its peers notice."""

    def test_a_killed_node_and_a_frozen_one_cost_no_request(self):
        first, second, _ = self.cinder_volume.nodes
        with self.stream() as stream:
            time.sleep(_LOAD_S)
            self.busy(stream)
            self.cinder_volume.nodes[first].kill()
            self.wait_until(lambda: self.fenced(first), 'the dead fenced')
            time.sleep(_LOAD_S)
            self.start(first)
            self.busy(stream)
            self.cinder_volume.nodes[second].pause()
            self.wait_until(lambda: self.fenced(second), 'the frozen fenced')
            time.sleep(_LOAD_S)
            self.cinder_volume.nodes[second].resume()
            time.sleep(_LOAD_S)
        self.judge(stream)


class TestRestart(base.ResumeTestCase):
    """One volume service without a cluster."""

    nodes = 1

    def test_a_restart_finishes_what_was_begun(self):
        service = self.cinder_volume.service
        with self.stream() as stream:
            time.sleep(_LOAD_S)
            self.busy(stream)
            service.kill()
            time.sleep(1)
            service.start()
            self.wait_until(lambda: base.node_up(self.sandbox, 'sandbox'),
                            'the service again')
            time.sleep(_LOAD_S)
        self.judge(stream)
