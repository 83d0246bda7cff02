# SPDX-License-Identifier: Apache-2.0
"""How commands that the openstack client does not run find the cloud."""

import argparse
from typing import Any

from keystoneauth1 import exceptions as auth_exceptions
import openstack
from openstack import exceptions as sdk_exceptions
from osc_lib import exceptions

#: What connecting, and asking Cinder later, may raise.
ERRORS = (exceptions.CommandError, sdk_exceptions.SDKException,
          auth_exceptions.ClientException)


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the cloud."""
    parser.add_argument(
        '--os-cloud', metavar='NAME',
        help='entry of clouds.yaml, with the admin role (default: the OS_ '
             'variables of the environment)')


def block_storage(arguments: argparse.Namespace, timeout_s: float) -> Any:
    """Return openstacksdk's block storage proxy of the cloud.

    :param timeout_s: for each request
    :raises: one of :data:`ERRORS`
    """
    return openstack.connect(cloud=arguments.os_cloud,
                             api_timeout=timeout_s).block_storage
