# SPDX-License-Identifier: Apache-2.0
"""The journal of casts and of the processes that work on them."""

from cinder_tagged.resume.journal.entries import Entry
from cinder_tagged.resume.journal.incarnations import Fenced
from cinder_tagged.resume.journal.incarnations import Incarnation
from cinder_tagged.resume.journal.incarnations import REMEMBER
from cinder_tagged.resume.journal.store import Journal

__all__ = ['REMEMBER', 'Entry', 'Fenced', 'Incarnation', 'Journal']
