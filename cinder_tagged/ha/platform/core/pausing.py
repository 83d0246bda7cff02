# SPDX-License-Identifier: Apache-2.0
"""How long to wait after failures."""

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True)
class Pause:
    """Pauses (s) that double from ``first`` up to ``longest``."""

    first: float
    longest: float

    def after(self, failures: int) -> float:
        """The pause after so many failures in a row; 0 after none."""
        if failures < 1:
            return 0.0
        # The exponent is bounded: a float overflows at 2 ** 1024.
        return min(self.longest, self.first * 2.0 ** min(failures - 1, 60))
