"""Settings within their ranges: what a frozen dataclass of settings checks itself with. No torch."""

from __future__ import annotations

import math
from typing import Any

from .errors import KmmError

Range = tuple[float, float]


def check_ranges(settings: Any, **ranges: Range) -> None:
    """Refuses numbers outside the range given for their field, both ends included; of a tuple every one must lie in it.

    Who reads settings from a file checks their types.

    Raises:
        KmmError: ``bad_settings``, with every problem named.
    """
    problems = []
    for name, (low, high) in ranges.items():
        value = getattr(settings, name)
        numbers = value if isinstance(value, tuple) else (value,)
        if not all(low <= item <= high for item in numbers):
            rule = f"at least {low:g}" if high == math.inf else f"in [{low:g}, {high:g}]"
            problems.append(f"{name}={value!r} must be {rule}")
    if problems:
        raise KmmError("bad_settings", "; ".join(problems) + ".")
