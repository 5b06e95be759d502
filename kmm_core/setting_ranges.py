"""The range check that frozen dataclasses of settings call on themselves. No torch."""

from __future__ import annotations

import math
from typing import Any

from .errors import KmmError

Range = tuple[float, float]


def check_ranges(settings: Any, **ranges: Range) -> None:
    """Raises an error for fields of ``settings`` that are outside their range (low, high), both ends included.

    If a field is a tuple, each of its numbers must be in the range. Types are not checked here, but by what reads the
    file.

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
