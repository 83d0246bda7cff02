# SPDX-License-Identifier: Apache-2.0
"""A small bootable disk image, from Debian's packages only."""

from devstack.sandbox.guest.image import ANSWER_OFFSET
from devstack.sandbox.guest.image import bootable
from devstack.sandbox.guest.image import GREETING

__all__ = ['ANSWER_OFFSET', 'GREETING', 'bootable']
