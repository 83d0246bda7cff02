# SPDX-License-Identifier: Apache-2.0
"""Cinder's volume API with a journal; set as ``volume_api_class``."""

from typing import Any

from cinder.volume import api

from cinder_tagged.resume import casts
from cinder_tagged.resume import database
from cinder_tagged.resume import secrets


class API(api.API):
    """Writes down every operation that it hands to another service."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        secrets.check()
        journal = database.open_journal()
        self.scheduler_rpcapi = casts.SchedulerAPI(journal)
        self.volume_rpcapi = casts.VolumeAPI(journal)
