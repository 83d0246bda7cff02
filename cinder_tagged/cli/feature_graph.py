# SPDX-License-Identifier: Apache-2.0
"""``openstack volume feature graph``"""

import argparse
import pathlib

from osc_lib import exceptions
from osc_lib.command import command

from cinder_tagged import files
from cinder_tagged.cli import drawing
from cinder_tagged.cli import report
from cinder_tagged.cli import rest
from cinder_tagged.cli import topology


class GraphFeature(command.Command):
    """Draw tags and clusters as an SVG picture

    Shows which clusters carry which tag, how full each is, and how they
    share what they hold. The file stands for itself: no script, nothing
    loaded from elsewhere.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            '--file', metavar='<file>',
            help='Where to write the picture (default: standard output)')
        parser.add_argument(
            '--title', metavar='<text>', default='Feature tags',
            help='Heading of the picture (default: "Feature tags")')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        cloud = rest.Cloud.of(self.app)
        storage = report.read_storage(cloud.pools(), cloud.services())
        drawn = topology.read(
            storage, report.tag_rows(storage, cloud.types()))
        if not drawn.clusters and not drawn.silent:
            raise exceptions.CommandError(
                'no backend reports a tag; give one feature_tags in '
                'cinder.conf, and look again when it has reported')
        text = drawing.svg(drawn, parsed_args.title)
        if parsed_args.file:
            _write(pathlib.Path(parsed_args.file), text)
        else:
            self.app.stdout.write(text)


def _write(path: pathlib.Path, text: str) -> None:
    """Replace a file at once: a web server may be reading it."""
    try:
        files.replace(path, text.encode())
    except OSError as error:
        raise exceptions.CommandError(
            f'--file {path}: {error.strerror}; name a file in a directory '
            'that you may write') from error
