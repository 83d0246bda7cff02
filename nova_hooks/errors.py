# SPDX-License-Identifier: Apache-2.0
"""What ends a server create before Nova sees it."""

from cinder_tagged import exceptions


class Refusal(exceptions.CinderTaggedError):
    """The request cannot be carried out as asked.

    :param status: the HTTP status that the client gets
    :param message: what is wrong and what to do about it, for the client
    """

    def __init__(self, status: int, message: str):
        self.status = status
        self.message = message
        super().__init__(message)


class BadRequest(Refusal):
    """The request contradicts itself or asks for what cannot be."""

    def __init__(self, message: str):
        super().__init__(400, message)


class OverQuota(Refusal):
    """The project's volume quota has no room for the system disks.

    Nova answers its own quotas with the same status.
    """

    def __init__(self, message: str):
        super().__init__(403, message)


class NotReady(Refusal):
    """The cloud cannot serve features now; the same request may work later.
    """

    def __init__(self, message: str):
        super().__init__(503, message)
