# SPDX-License-Identifier: Apache-2.0
"""How a second-level feature travels in a backend's capabilities.

The volume service reports these keys with its statistics; the scheduler and
Cinder's REST API (``get_pools``) pass them on as they are.
"""

from collections.abc import Mapping
from typing import Any

from cinder_tagged.features import model
from cinder_tagged.features import tags as tags_mod

TAGS = 'feature_tags'
WEIGHT = 'feature_weight'
FSID = 'feature_fsid'
CLUSTER = 'feature_cluster'
POOL = 'feature_pool'
BACKEND = 'feature_backend'
#: Ids of images that the backend has copies of to clone from.
IMAGES = 'feature_images'
#: Why a backend is down, where somebody on the way knows more than it does.
DOWN_REASON = 'feature_down_reason'


def to_capabilities(feature: model.SecondLevelFeature) -> dict[str, Any]:
    """Return what a backend adds to its statistics."""
    return {
        TAGS: [str(tag) for tag in feature.tags],
        WEIGHT: feature.weight,
        FSID: feature.cluster.fsid,
        CLUSTER: feature.cluster.name,
        POOL: feature.cluster.pool,
        BACKEND: feature.backend,
    }


def from_capabilities(
        capabilities: Mapping[str, Any],
        backend: str = '') -> model.SecondLevelFeature | None:
    """Read back what :func:`to_capabilities` wrote.

    :param backend: name to use where the capabilities carry none
    :returns: None for a backend without tags, such as one of another driver
    :raises FeatureConfigError: the tags or the weight are not usable
    """
    value = capabilities.get(TAGS)
    if not value:
        return None
    name = str(capabilities.get(BACKEND) or backend)
    where = f'[{name}]' if name else ''
    return model.SecondLevelFeature(
        backend=name,
        cluster=model.Cluster(str(capabilities.get(FSID) or ''),
                              str(capabilities.get(CLUSTER) or ''),
                              str(capabilities.get(POOL) or '')),
        tags=tags_mod.parse_tags(value, where=where),
        weight=model.parse_weight(capabilities.get(WEIGHT, 1.0),
                                  where=where))
