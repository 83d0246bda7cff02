# SPDX-License-Identifier: Apache-2.0
"""What a keeper tells: the agent, a file, and by its checks all servers."""

import json
import logging
import os
import sys
import time
from typing import Any

from cinder_tagged.ha.platform import hands as hand
from cinder_tagged.ha.platform.core import model as m

LOG = logging.getLogger(__name__)

#: Seconds between two words to the agent.
SAY = 0.25
#: Share of the volume below which it counts as full.
FULL = 0.02


class Reporter:
    """The status of one platform on this server."""

    def __init__(self, name: str, node: str, hands: hand.Hands) -> None:
        self._who = {'platform': name, 'node': node}
        self._hands = hands
        self.status: dict[str, Any] = {}
        self._said, self._said_at = '', float('-inf')

    def newest(self) -> dict[str, Any]:
        """The status with the time of day; for the pool."""
        return {**self.status, 'time': round(time.time(), 3)}

    def tell(self, seen: m.Observation, decision: m.Decision,
             **fields: Any) -> None:
        """Say what is, if anything of it is new.

        :param fields: epoch, failures, problem
        """
        status = {
            **self._who, 'row': decision.row, 'message': decision.message,
            **{field: getattr(seen, field).value for field in (
                'service', 'role', 'claim', 'container', 'mapping', 'mount',
                'filesystem', 'image')}, **fields, **self._room(seen)}
        self._say('up' if seen.here or seen.role is m.Role.MASTER
                  else 'down')
        if status == self.status:
            return
        if decision.row != self.status.get('row'):
            LOG.info('%s: %s', decision.row, decision.message)
        self.status = status
        path = self._hands.directory / 'status.json'
        new = path.with_suffix('.new')
        new.write_text(json.dumps(self.newest(), sort_keys=True))
        new.replace(path)

    def _room(self, seen: m.Observation) -> dict[str, Any]:
        """What is left on the volume of a container that runs."""
        if seen.container is not m.Container.RUNNING or (
                seen.mount is not m.Mount.YES
                or seen.service is not m.Service.SOUND):
            return {}
        free = self._hands.free()
        if free >= FULL:
            return {'free': round(free, 2)}
        return {'free': round(free, 2), 'problem': (
            'the volume is full: extend it, or remove something')}

    def _say(self, word: str) -> None:
        now = time.monotonic()
        if word == self._said and now - self._said_at < SAY:
            return
        self._said, self._said_at = word, now
        try:
            print(word, flush=True)
        except OSError:
            # The agent has gone; we go on until all is down.
            sys.stdout = open(os.devnull, 'w')  # noqa: SIM115
