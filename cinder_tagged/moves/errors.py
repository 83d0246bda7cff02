# SPDX-License-Identifier: Apache-2.0
"""What stops a command before anything is changed."""

from cinder_tagged import exceptions


class MovesError(exceptions.CinderTaggedError):
    """One sentence for the operator, with its remedy."""
