"""Fewer keys with the same motion, within a tolerance. No bpy."""

from __future__ import annotations

from dataclasses import dataclass

from kmm_core.errors import KmmError


@dataclass(frozen=True)
class Reduction:
    """How far reduced keys may stray from the motion at any frame.

    Attributes:
        degrees: a bone may turn this far off.
        millimetres: a bone may move this far off, and its turning may carry whatever hangs below it this far.

    Raises:
        KmmError: ``bad_reduction`` for a tolerance that is not positive.
    """

    degrees: float = 0.5
    millimetres: float = 3.0

    def __post_init__(self):
        for name in ("degrees", "millimetres"):
            value = getattr(self, name)
            if not value > 0:
                raise KmmError(
                    "bad_reduction",
                    f"Key reduction within {value} {name}; expected a number above 0.",
                    "Switch key reduction off to keep every frame.",
                )
