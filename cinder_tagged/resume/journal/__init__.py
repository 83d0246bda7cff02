# SPDX-License-Identifier: Apache-2.0
"""The journal of casts and of the processes that work on them."""

from cinder_tagged.resume.journal.store import Entry
from cinder_tagged.resume.journal.store import Fenced
from cinder_tagged.resume.journal.store import Incarnation
from cinder_tagged.resume.journal.store import Journal
from cinder_tagged.resume.journal.store import REMEMBER

__all__ = ['REMEMBER', 'Entry', 'Fenced', 'Incarnation', 'Journal']
