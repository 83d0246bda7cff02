# SPDX-License-Identifier: Apache-2.0
"""Placement: which cluster takes a request, and why the others do not.

Pure decisions over reported states. :func:`decide` judges every backend and
explains; :class:`PlacementIndex` answers the same question at the price of
the backends that match, for the scheduler. Both use one policy and one rule
for capacity, and a test holds them to the same order.
"""

from cinder_tagged.placement.decision import decide
from cinder_tagged.placement.decision import Decision
from cinder_tagged.placement.decision import Verdict
from cinder_tagged.placement.index import Judgement
from cinder_tagged.placement.index import PlacementIndex
from cinder_tagged.placement.policy import get_policy
from cinder_tagged.placement.policy import POLICIES
from cinder_tagged.placement.policy import Policy
from cinder_tagged.placement.pool import Load
from cinder_tagged.placement.pool import load_of
from cinder_tagged.placement.pool import Pool
from cinder_tagged.placement.pool import room_of
from cinder_tagged.placement.request import ASKED_METADATA
from cinder_tagged.placement.request import EXTRA_SPEC
from cinder_tagged.placement.request import HINT
from cinder_tagged.placement.request import is_thin
from cinder_tagged.placement.request import Request
from cinder_tagged.placement.request import requirement
from cinder_tagged.placement.request import WHY_METADATA

__all__ = [
    'ASKED_METADATA', 'EXTRA_SPEC', 'HINT', 'POLICIES', 'WHY_METADATA',
    'Decision', 'Judgement', 'Load', 'PlacementIndex', 'Policy', 'Pool',
    'Request', 'Verdict', 'decide', 'get_policy', 'is_thin', 'load_of',
    'requirement', 'room_of',
]
