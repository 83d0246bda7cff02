# SPDX-License-Identifier: Apache-2.0
"""The platform as a resource of a role: the agent's end of the keeper.

Each word says until when the agent has authority over the role, on the clock
that both have (CLOCK_MONOTONIC): an agent that is silent or stands still does
not keep the platform running.
"""

from collections.abc import Mapping
import json
import os
import subprocess
import sys
import threading
import time
from typing import Any

from oslo_log import log as logging

from cinder_tagged.ha.adapters import resources
from cinder_tagged.ha.platform import options

LOG = logging.getLogger(__name__)

#: Seconds between two words to the keeper.
PULSE = 0.25


class Platform:
    """Keeps a keeper running, and tells it whether this server is master.

    The keeper runs on slaves as well: it checks the storage there, and
    stops what should not be there.
    """

    def __init__(self, name: str, conf: Any) -> None:
        self.name, self._conf = name, conf
        section = conf[options.group(name)]
        self._deadline = (section.stop_deadline
                          + 2 * section.kill_deadline + 5)
        self._epoch, self._master = 0, False
        self._until = 0.0
        self._down = threading.Event()
        self._said = threading.Event()
        self._child: subprocess.Popen[str] | None = None
        threading.Thread(target=self._tell, daemon=True,
                         name=f'platform {name}').start()

    def start(self, environ: Mapping[str, str]) -> None:
        """Make this server master; the keeper brings the platform up."""
        self._epoch = int(environ['CINDER_TAGGED_HA_EPOCH'])
        self._down.clear()
        self._master = True
        self._said.set()

    def prolong(self, until: float) -> None:
        """The keeper is told so with the next word."""
        self._until = until

    def lapse(self) -> None:
        """The keeper goes on for ``agent_deadline``, then ends by itself.

        Until then nobody else starts it, and to stop and to start it costs
        more than a moment in which etcd does not answer.
        """

    def stop(self) -> None:
        """Make it a slave; back when nothing of the platform is here."""
        if not self._master:
            return
        self._master = False
        self._said.set()
        # It says "down" only as a slave, so nothing said before counts.
        if not self._down.wait(self._deadline):
            raise resources.ResourceError(
                f'the platform is not down after {self._deadline:g} s; '
                f'"cinder-tagged-platform status {self.name}" says why')

    def _spawn(self) -> subprocess.Popen[str]:
        files = self._conf.config_file or self._conf.default_config_files
        command = [sys.executable, '-m', 'cinder_tagged.ha.platform.cli']
        for path in files:
            command += ['--config-file', path]
        child = subprocess.Popen(
            [*command, 'keep', self.name], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, start_new_session=True, text=True,
            env=dict(os.environ))
        threading.Thread(target=self._hear, args=(child,), daemon=True,
                         name=f'platform {self.name}').start()
        return child

    def _hear(self, child: subprocess.Popen[str]) -> None:
        for line in child.stdout or ():
            if line.strip() == 'down':
                self._down.set()
            else:
                self._down.clear()

    def _pulse(self, child: subprocess.Popen[str]) -> None:
        if child.stdin is not None:
            child.stdin.write(json.dumps(
                {'master': self._master, 'epoch': self._epoch,
                 'until': self._until}) + '\n')
            child.stdin.flush()

    def _tell(self) -> None:
        while True:
            try:
                if self._child is None or self._child.poll() is not None:
                    if self._child is not None:
                        LOG.error('The keeper of %s ended with status %s',
                                  self.name, self._child.returncode)
                        time.sleep(1)
                    self._child = self._spawn()
                self._pulse(self._child)
            except OSError as exc:
                LOG.error('The keeper of %s: %s', self.name, exc)
                time.sleep(1)
            self._said.wait(PULSE)
            self._said.clear()
