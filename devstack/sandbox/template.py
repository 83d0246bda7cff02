# SPDX-License-Identifier: Apache-2.0
"""Filled databases, kept between sandboxes.

To make all schemas, users and the catalogue takes most of a minute, to
copy the data directory that holds them a third of a second. The key of a
template is a digest of everything that its contents depend on.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
import hashlib
from importlib import metadata
import json
import os
from pathlib import Path
import shutil
import tempfile

from devstack.sandbox.cinder import CinderApi
from devstack.sandbox.database import Database
from devstack.sandbox.database import server_version
from devstack.sandbox.keystone import Keystone
from devstack.sandbox.layout import Layout
from devstack.sandbox.part import Part
from devstack.sandbox.process import run
from devstack.sandbox.settings import cache_directory

_PACKAGES = ('keystone', 'cinder', 'glance', 'openstack-placement', 'nova',
             'alembic', 'sqlalchemy')
_SOURCES = ('database.py', 'keystone.py', 'template.py')
_SCHEMA_DEADLINE_S = 600
_KEPT = 4


class Template:
    """The template of one combination of parts.

    :param parts: those whose databases it holds.
    """

    def __init__(self, layout: Layout, database: Database,
                 keystone: Keystone, parts: Sequence[Part]) -> None:
        self.layout = layout
        self.database = database
        self.keystone = keystone
        self.parts = parts
        self.directory = cache_directory() / f'template-{self._digest()}'

    def _digest(self) -> str:
        digest = hashlib.sha256()
        here = Path(__file__).parent
        for source in _SOURCES:
            digest.update((here / source).read_bytes())
        facts = [server_version()]
        facts += [f'{name}=={metadata.version(name)}' for name in _PACKAGES]
        facts += sorted(
            f'{part.name}: {part.schema_commands()}'.replace(
                str(self.layout.state), '') for part in self.parts)
        digest.update('\n'.join(facts).encode())
        return digest.hexdigest()[:16]

    @property
    def exists(self) -> bool:
        """Whether it was made before."""
        return self.directory.exists()

    def restore(self) -> None:
        """Copy the template into the sandbox."""
        self.layout.adopt_passwords(json.loads(
            (self.directory / 'passwords.json').read_text()))
        run(['cp', '-a', '--reflink=auto', self.directory / 'mysql',
             self.database.data])

    def build(self) -> None:
        """Fill the sandbox's databases and keep a copy as the template."""
        self.database.install()
        self.database.start()
        self.database.create(
            [name for part in self.parts for name in part.databases])
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(self._sync, self.parts))
        CinderApi.lift_quotas(self.database)
        self.keystone.populate()
        self.keystone.api.stop()
        self.database.server.stop()
        self._keep()

    def _sync(self, part: Part) -> None:
        environ = {**os.environ, **self.layout.environment(),
                   **self.layout.guard.environment()}
        for command in part.schema_commands():
            run(command, env=environ, timeout=_SCHEMA_DEADLINE_S)

    def _keep(self) -> None:
        parent = self.directory.parent
        parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix='new-', dir=parent))
        try:
            run(['cp', '-a', '--reflink=auto', self.database.data,
                 fresh / 'mysql'])
            passwords = fresh / 'passwords.json'
            passwords.touch(mode=0o600)
            passwords.write_text(json.dumps(dict(self.layout.passwords)))
            if not self.exists:
                # Another sandbox may have won the race: just as good.
                fresh.rename(self.directory)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
        self._prune()

    def _prune(self) -> None:
        """Remove all but the latest templates; each has 120 MB."""
        templates = sorted(self.directory.parent.glob('template-*'),
                           key=lambda path: path.stat().st_mtime)
        for old in templates[:-_KEPT]:
            shutil.rmtree(old, ignore_errors=True)
