# SPDX-License-Identifier: Apache-2.0
"""What can go wrong with a copy.

::

    CinderTaggedError
    +-- CopyError
        +-- CopyFailed      an operation of the copy failed
        |   +-- SourceUnreadable   the original cannot be read there
        +-- CopyStalled     nothing moved for too long
        +-- CopyCancelled   somebody asked for the end of it
        +-- LeaseHeld       another one makes this copy right now
        +-- LeaseLost       another one may have taken this copy over
        +-- UnsafeImage     the original cannot be trusted or read
        +-- NoRoom          it would store more than it may
"""

from cinder_tagged import exceptions


class CopyError(exceptions.CinderTaggedError):
    """A copy did not come about; the original is untouched."""


class CopyFailed(CopyError):
    """An operation failed; the message says which."""


class SourceUnreadable(CopyFailed):
    """The original cannot be read at the place that was named."""


class CopyStalled(CopyError):
    """No operation in flight ended within the time allowed."""


class CopyCancelled(CopyError):
    """The copy was told to stop."""


class LeaseHeld(CopyError):
    """Another process holds the right to make this copy."""


class LeaseLost(CopyError):
    """The right to make this copy ran out, or another process has it."""


class UnsafeImage(CopyError):
    """The original is not what it is said to be, or would read files."""


class NoRoom(CopyError):
    """The copy would store more than it may.

    :param need: bytes that it would store
    """

    def __init__(self, need: int | str):
        self.need = int(need)
        super().__init__(str(need))


KINDS = {kind.__name__: kind for kind in (
    CopyFailed, SourceUnreadable, CopyStalled, CopyCancelled, LeaseHeld,
    LeaseLost, UnsafeImage, NoRoom)}
