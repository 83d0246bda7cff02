# SPDX-License-Identifier: Apache-2.0
"""A network service without networks.

Nova asks one even for servers without a network card. This answers every
list with an empty list, and nothing else: servers are created with
``networks: none`` (``--no-network``).

Run as ``python -m devstack.sandbox.network PORT``.
"""

from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler
from http.server import ThreadingHTTPServer
import json
import sys

from devstack.sandbox.layout import Layout
from devstack.sandbox.part import Part
from devstack.sandbox.process import listening
from devstack.sandbox.process import Service


class _Handler(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def do_GET(self) -> None:
        parts = self.path.partition('?')[0].strip('/').split('/')
        if parts in ([''], ['v2.0']):
            self._answer(200, {'versions': [{
                'id': 'v2.0', 'status': 'CURRENT',
                'links': [{'rel': 'self', 'href': f'http://'
                           f'{self.headers["Host"]}/v2.0/'}]}]})
        elif len(parts) == 3 and parts[1] == 'quotas':
            # Asked for a server that may take any network there is.
            self._answer(200, {'quota': {'network': -1, 'port': -1}})
        elif len(parts) == 2 and parts[1].endswith('s'):
            self._answer(200, {parts[1].replace('-', '_'): []})
        else:
            self._answer(404, {'NeutronError': {
                'type': 'NotFound', 'detail': '',
                'message': f'{self.path}: there are no networks here'}})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get('Content-Length', 0)))
        self._answer(403, {'NeutronError': {
            'type': 'Forbidden', 'detail': '',
            'message': 'there are no networks here'}})

    do_PUT = do_POST
    do_DELETE = do_POST

    def _answer(self, status: int, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Network(Part):
    """The stand-in as a part of the sandbox."""

    name = 'network stand-in'

    def __init__(self, layout: Layout) -> None:
        super().__init__(layout)
        self.server = Service(
            'network', layout.directory('log'),
            [sys.executable, '-m', __name__, str(layout.port('network'))],
            layout.guard, layout.environment())

    @property
    def services(self) -> Sequence[Service]:
        return (self.server,)

    def catalogue(self) -> dict[str, str]:
        return {'network': self.layout.url('network')}

    def start(self) -> None:
        self.server.start()
        self.server.wait_ready(
            lambda: listening(self.layout.port('network')))


if __name__ == '__main__':
    ThreadingHTTPServer(
        ('127.0.0.1', int(sys.argv[1])), _Handler).serve_forever()
