# SPDX-License-Identifier: Apache-2.0

import os
import pathlib
from unittest import mock

import ddt
import fixtures
from oslotest import base

from cinder_tagged import files


@ddt.ddt
class ReplaceTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.directory = pathlib.Path(
            self.useFixture(fixtures.TempDir()).path)
        self.path = self.directory / 'file'
        self.addCleanup(os.umask, os.umask(0o027))

    @ddt.data((None, 0o640), (0o600, 0o600), (0o644, 0o644))
    @ddt.unpack
    def test_permissions(self, mode, expected):
        files.replace(self.path, b'one')
        files.replace(self.path, b'two', mode)
        self.assertEqual(b'two', self.path.read_bytes())
        self.assertEqual(expected, self.path.stat().st_mode & 0o777)
        self.assertEqual([self.path], list(self.directory.iterdir()))

    def test_what_was_there_stays_if_the_new_cannot_be_written(self):
        files.replace(self.path, b'one')
        with mock.patch.object(os, 'fsync', side_effect=OSError(28, 'full')):
            self.assertRaises(OSError, files.replace, self.path, b'two')
        self.assertEqual(b'one', self.path.read_bytes())
        self.assertEqual([self.path], list(self.directory.iterdir()))

    def test_directory_that_is_not_there(self):
        self.assertRaises(FileNotFoundError, files.replace,
                          self.directory / 'none' / 'file', b'')
