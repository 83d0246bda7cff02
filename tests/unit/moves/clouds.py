# SPDX-License-Identifier: Apache-2.0
"""Backends and volumes to plan with."""

from cinder_tagged import features
from cinder_tagged import placement
from cinder_tagged.moves import model


def pool(name, tags='ssd', weight=1.0, total=1000.0, held=0.0, host='n1',
         fsid=None, up=True):
    """Return a backend; its cluster has the stanza's name."""
    backend = f'{host}@{name}#volumes'
    return placement.Pool.from_capabilities(backend, {
        'feature_tags': tags.split(','), 'feature_weight': weight,
        'feature_fsid': fsid or f'fsid-{name}', 'feature_cluster': name,
        'feature_pool': 'volumes', 'feature_backend': name,
        'total_capacity_gb': total, 'free_capacity_gb': total,
        'provisioned_capacity_gb': held, 'allocated_capacity_gb': held,
        'thin_provisioning_support': True, 'reserved_percentage': 0,
        'max_over_subscription_ratio': 1.0,
        'backend_state': 'up' if up else 'down'})


def volume(number, on, size=10, require='', obstacle='', migration='',
           **wish):
    """Return a volume on the backend of that name."""
    return model.Volume(
        f'v{number}', f'name-{number}', size,
        on if '@' in on or not on else f'n1@{on}#volumes', obstacle,
        migration, model.Wish(
            features.parse_expression(require) if require else None, **wish))


def name(backend):
    """Return the stanza of a backend."""
    return backend.partition('#')[0].rpartition('@')[2]
