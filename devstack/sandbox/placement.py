# SPDX-License-Identifier: Apache-2.0
"""Placement, which Nova's scheduler asks for compute nodes with room."""

from collections.abc import Sequence
from pathlib import Path

from devstack.sandbox.keystone import Keystone
from devstack.sandbox.layout import Layout
from devstack.sandbox.part import Part
from devstack.sandbox.process import Service
from devstack.sandbox.wsgi import answers
from devstack.sandbox.wsgi import wsgi_service


class Placement(Part):
    """The placement service."""

    name = 'placement'
    needs = ('keystone',)
    databases = ('placement',)

    def __init__(self, layout: Layout, keystone: Keystone) -> None:
        super().__init__(layout)
        self.keystone = keystone
        self.conf = layout.state / 'placement' / 'placement.conf'
        self.api = wsgi_service(
            layout, 'placement', 'placement.wsgi.api:application',
            env={'OS_PLACEMENT_CONFIG_DIR': str(self.conf.parent)})

    @property
    def services(self) -> Sequence[Service]:
        return (self.api,)

    def schema_commands(self) -> list[list[str | Path]]:
        manage = self.layout.program('placement-manage')
        return [[manage, '--config-file', self.conf, 'db', 'sync']]

    def catalogue(self) -> dict[str, str]:
        return {'placement': self.layout.url('placement')}

    def configure(self) -> None:
        self.layout.write_conf('placement/placement.conf', {
            'placement_database': {
                'connection': self.layout.database_url('placement')},
            'api': {'auth_strategy': 'keystone'},
            'keystone_authtoken':
                self.keystone.token_middleware('placement'),
            'oslo_concurrency': {
                'lock_path': self.layout.directory('placement', 'locks')},
        })

    def start(self) -> None:
        self.api.start()
        self.api.wait_ready(
            lambda: answers(f'{self.layout.url("placement")}/'))
