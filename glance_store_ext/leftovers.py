# SPDX-License-Identifier: Apache-2.0
"""Which volumes are remains of uploads whose process was killed.

An upload that ends in any other way removes its volume itself. Here nothing
is asked: the evidence comes in, the decision goes out.
"""

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True)
class Candidate:
    """A volume that was made for an image.

    :param idle_s: seconds since Cinder last saw it change
    :param addresses: of the image's data; none for an image that is gone
    :param open: whether somebody has its RBD image open for writing; None
        if that cannot be told
    """

    volume_id: str
    idle_s: float
    addresses: tuple[str, ...] = ()
    open: bool | None = None


def is_leftover(candidate: Candidate, grace_s: float) -> bool:
    """Decide whether a volume may be removed.

    All must hold: no image lives on it, nobody writes it, and it has been
    left alone for the grace period, within which an upload that has just
    closed its volume makes itself known to Glance.
    """
    return (candidate.open is False
            and candidate.idle_s >= grace_s
            and not any(candidate.volume_id in address
                        for address in candidate.addresses))
