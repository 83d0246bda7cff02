# SPDX-License-Identifier: Apache-2.0
"""A service that ends while it starts."""

from pathlib import Path
import shutil
import tempfile

from oslotest import base

from devstack.sandbox.guard import Guard
from devstack.sandbox.process import SandboxError
from devstack.sandbox.process import Service

#: Ends at its first start, with a last word; serves from the second on.
_SECOND_TIME_LUCKY = 'test -e begun || { touch begun; echo no luck; exit 1; }'


class ServiceTestCase(base.BaseTestCase):

    def setUp(self) -> None:
        super().setUp()
        directory = Path(tempfile.mkdtemp(prefix='cinder-tagged-test-'))
        self.addCleanup(shutil.rmtree, directory)
        guard = Guard()
        self.addCleanup(guard.close)
        self.service = Service(
            'lucky', directory,
            ['sh', '-c', f'{_SECOND_TIME_LUCKY}; touch ready; sleep 600'],
            guard)
        self.ready = directory / 'ready'
        self.service.start()

    def test_it_is_started_again_as_often_as_allowed(self) -> None:
        self.service.wait_ready(self.ready.exists, 60, restarts=1)
        self.assertTrue(self.service.alive)

    def test_it_is_an_error_with_the_last_words_otherwise(self) -> None:
        error = self.assertRaises(
            SandboxError, self.service.wait_ready, self.ready.exists, 60)
        self.assertIn('lucky ended', str(error))
        self.assertIn('no luck', str(error))
