# SPDX-License-Identifier: Apache-2.0
"""OpenStack's HTTP APIs, each as one uwsgi process."""

from collections.abc import Mapping
import contextlib
import sys
import urllib.error
import urllib.request

from devstack.sandbox.layout import Layout
from devstack.sandbox.process import Service

# Python programs without a WSGI application loaded answer nothing; any
# HTTP status, even 401, says that the application is there.
_PROBE_TIMEOUT_S = 30


def wsgi_command(address: str, module: str, *, arguments: str = '',
                 threads: int = 4) -> list[str]:
    """Return the command that serves a WSGI module.

    :param address: HOST:PORT, or :PORT for all addresses.
    :param module: MODULE:CALLABLE.
    :param arguments: what the module finds in sys.argv.
    """
    command = [
        str(Layout.program('uwsgi')), '--http-socket', address,
        '--module', module, '--virtualenv', sys.prefix, '--lazy-apps',
        '--need-app', '--die-on-term', '--enable-threads', '--threads',
        str(threads), '--buffer-size', '65535', '--chunked-input-limit',
        '8388608',
        # A client that reuses a connection just when uwsgi closes it
        # sees a reset.
        '--add-header', 'Connection: close',
        '--log-4xx', '--log-5xx', '--disable-logging',
    ]
    return [*command, '--pyargv', arguments] if arguments else command


def wsgi_service(layout: Layout, name: str, module: str, *,
                 arguments: str = '',
                 env: Mapping[str, str] | None = None,
                 threads: int = 4) -> Service:
    """Describe the service that serves a WSGI module on its port.

    :param module: MODULE:CALLABLE.
    :param arguments: what the module finds in sys.argv.
    """
    return Service(
        name, layout.directory('log'),
        wsgi_command(f'127.0.0.1:{layout.port(name)}', module,
                     arguments=arguments, threads=threads),
        layout.guard, {**layout.environment(), **(env or {})})


def answers(url: str) -> bool:
    """Tell whether an HTTP server answers, with whatever status."""
    with contextlib.suppress(OSError):
        try:
            with urllib.request.urlopen(url, timeout=_PROBE_TIMEOUT_S):
                return True
        except urllib.error.HTTPError as exc:
            return exc.code < 500
    return False
