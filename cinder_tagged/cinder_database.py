# SPDX-License-Identifier: Apache-2.0
"""Cinder's database layer, wherever the installed release keeps it.

Of use where more is needed than the calls of ``cinder.db.api``, which are the
same in all releases.
"""

try:
    from cinder.db import api
    from cinder.db import models
except ImportError:
    # Up to release 2026.1 (Cinder 28).
    from cinder.db.sqlalchemy import api
    from cinder.db.sqlalchemy import models

__all__ = ['api', 'models']
