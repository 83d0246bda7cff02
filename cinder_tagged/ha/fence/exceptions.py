# SPDX-License-Identifier: Apache-2.0
"""Errors of fencing.

FenceError
+-- ToolFailed          a tool ended with an error
|   +-- ToolTimeout     a tool missed its deadline and was abandoned
|   +-- HeldElsewhere   another node holds the volume's lock
+-- Unreadable          a tool's output was not what it should be
+-- Busy                another run holds the group
+-- NotFenced           nothing to recover
"""


class FenceError(Exception):
    """Base of all errors here; its text is for an operator."""


class ToolFailed(FenceError):
    """``code`` is the exit status, None when the tool never ended."""

    def __init__(self, command: str, code: int | None, said: str) -> None:
        super().__init__(f'{command}: exit {code}: {said or "no output"}')
        self.code = code
        self.said = said


class ToolTimeout(ToolFailed):
    def __init__(self, command: str, deadline: float) -> None:
        super().__init__(
            command, None, f'no answer within {deadline:.1f} s')


class HeldElsewhere(ToolFailed):
    pass


class Unreadable(FenceError):
    pass


class Busy(FenceError):
    pass


class NotFenced(FenceError):
    pass
