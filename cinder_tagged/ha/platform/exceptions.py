# SPDX-License-Identifier: Apache-2.0
"""What can go wrong around a platform.

::

    CinderTaggedError
    +-- PlatformError
        +-- ToolError    a tool failed; the text has its last words
        +-- Cancelled    the step was broken off: the volume was lost
"""

from cinder_tagged import exceptions


class PlatformError(exceptions.CinderTaggedError):
    """A step was not done; it may be tried again."""


class ToolError(PlatformError):
    """A tool failed or did not end in time.

    :param status: its exit status; None if it was killed
    """

    def __init__(self, text: str, status: int | None = None) -> None:
        self.status = status
        super().__init__(text)


class Cancelled(PlatformError):
    """The step was broken off."""
