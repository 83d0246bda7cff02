# SPDX-License-Identifier: Apache-2.0
"""``cinder-tagged metrics``."""

import argparse
from collections.abc import Iterator
import contextlib
import signal
import sys
import threading
import time
from typing import Any

import prometheus_client
from prometheus_client import core

from cinder_tagged import placement
from cinder_tagged.cli import connecting
from cinder_tagged.cli import report
from cinder_tagged.cli import rest
from cinder_tagged.metrics import figures

_TIMEOUT_S = 30
#: A scrape this soon after another gets the same answer.
_FRESH_S = 10.0


def add_to(commands: Any) -> None:
    """Add the command to the parser of ``cinder-tagged``."""
    parser = commands.add_parser(
        'metrics', help='figures for Prometheus',
        description='Print what clusters, tags and shares there are in the '
                    'text format of Prometheus, or serve it.')
    parser.add_argument(
        '--listen', metavar='[HOST]:PORT', type=_address,
        help='serve it at this address until interrupted; HOST defaults to '
             '127.0.0.1. Without this, print it once')
    connecting.add_to(parser)


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(':')
    with contextlib.suppress(ValueError):
        if colon and 0 < (number := int(port)) < 65536:
            return host.strip('[]') or '127.0.0.1', number
    raise argparse.ArgumentTypeError(
        f'{text}: an address and a port, such as 127.0.0.1:9791')


class Collector:
    """Asks Cinder when Prometheus asks.

    :param client: openstacksdk's block storage proxy
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._cloud = rest.Cloud(client)
        self._lock = threading.Lock()
        self._asked = -_FRESH_S
        self._figures: list[figures.Figure] = []

    def describe(self) -> list[Any]:
        """Tell nothing in advance: a look at Cinder would be needed."""
        return []

    def collect(self) -> Iterator[Any]:
        """Yield metric families; few of them while Cinder is away."""
        with self._lock:
            if time.monotonic() - self._asked >= _FRESH_S:
                self._figures = self._ask()
                self._asked = time.monotonic()
            found = list(self._figures)
        for figure in found:
            family = core.GaugeMetricFamily(
                f'cinder_tagged_{figure.name}', figure.text,
                labels=figure.labels)
            for labels, value in figure.samples:
                family.add_metric(labels, value)
            yield family

    def _ask(self) -> list[figures.Figure]:
        began = time.monotonic()
        up = figures.Figure('cinder_up', 'Cinder answers this exporter.')
        took = figures.Figure('cinder_answer_seconds',
                              'How long Cinder took to answer it.')
        try:
            found = self._read()
        except connecting.ERRORS as error:
            print(f'cinder-tagged metrics: {error}', file=sys.stderr,
                  flush=True)
            up.add(0)
            return [up]
        up.add(1)
        took.add(time.monotonic() - began)
        return [up, took, *found]

    def _read(self) -> list[figures.Figure]:
        storage = report.read_storage(self._cloud.pools(),
                                      self._cloud.services())
        failed = self._client.volumes(details=True, all_projects=True,
                                      status='error')
        refused = sum(placement.WHY_METADATA in (volume.metadata or {})
                      for volume in failed)
        return figures.of_storage(
            storage, report.tag_rows(storage, self._cloud.types()), refused)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns its exit status."""
    try:
        client = connecting.block_storage(arguments, _TIMEOUT_S)
    except connecting.ERRORS as error:
        print(f'cinder-tagged metrics: {error}', file=sys.stderr)
        return 1
    registry = prometheus_client.CollectorRegistry()
    registry.register(Collector(client))
    if arguments.listen is None:
        text = prometheus_client.generate_latest(registry).decode()
        print(text, end='')
        return int('cinder_tagged_cinder_up 1.0' not in text)
    host, port = arguments.listen
    try:
        server, thread = prometheus_client.start_http_server(
            port, host, registry)
    except OSError as error:
        print(f'cinder-tagged metrics: --listen {host}:{port}: '
              f'{error.strerror}; name a free address of this machine',
              file=sys.stderr)
        return 1
    ended = threading.Event()
    # Also where SIGINT is ignored, as a shell has it in the background.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    while thread.is_alive() and not ended.wait(1):
        pass
    server.shutdown()
    return 0
