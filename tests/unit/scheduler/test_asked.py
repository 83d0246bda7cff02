# SPDX-License-Identifier: Apache-2.0

import ddt
from oslotest import base

from cinder_tagged.scheduler import asked


@ddt.ddt
class OperationTestCase(base.BaseTestCase):

    @ddt.data(
        ({'request_spec': {'operation': 'extend_volume', 'volume_id': 'v'}},
         'extend_volume'),
        # What the scheduler's manager really hands on for a create.
        ({'request_spec': {'operation': None, 'volume_id': 'v'}},
         'create_volume'),
        ({'request_spec': {'volume_id': 'v'}}, 'create_volume'),
        ({'request_spec': {}}, ''),
        ({}, ''))
    @ddt.unpack
    def test_operation(self, properties, operation):
        self.assertEqual(operation, asked.operation_of(properties))
