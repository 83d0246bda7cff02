# SPDX-License-Identifier: Apache-2.0
"""Feature tags: what a cluster is, and what a request asks for.

A *second-level feature* describes one cluster: identity, tags, weight. The
*first-level features* are derived from all of them, one per distinct tag.
This package is pure: it reads text and answers with values.
"""

from cinder_tagged.features.catalog import Catalog
from cinder_tagged.features.catalog import check_stanzas
from cinder_tagged.features.catalog import Conflict
from cinder_tagged.features.expression import Expression
from cinder_tagged.features.expression import parse as parse_expression
from cinder_tagged.features.meaning import same as same_meaning
from cinder_tagged.features.model import Cluster
from cinder_tagged.features.model import FirstLevelFeature
from cinder_tagged.features.model import parse_weight
from cinder_tagged.features.model import SecondLevelFeature
from cinder_tagged.features.tags import KINDS
from cinder_tagged.features.tags import parse_tags
from cinder_tagged.features.tags import Tag
from cinder_tagged.features.wire import from_capabilities
from cinder_tagged.features.wire import to_capabilities

__all__ = [
    'KINDS', 'Catalog', 'Cluster', 'Conflict', 'Expression',
    'FirstLevelFeature', 'SecondLevelFeature', 'Tag', 'check_stanzas',
    'from_capabilities', 'parse_expression', 'parse_tags', 'parse_weight',
    'same_meaning', 'to_capabilities',
]
