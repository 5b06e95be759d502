"""Keeps freed memory in the process, so that the next decoding step can use it again at no cost.

By default glibc returns large freed blocks to the system at once, and the next allocation pays for zeroed pages again.
On a CPU that took a fifth of a generation's time (benchmarks/generation.py). Works on Linux with glibc; does nothing
elsewhere.
"""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEEP = 1 << 30


def keep_freed_memory() -> bool:
    """Asks the C library to reuse freed blocks of up to 1 GB. Returns whether it agreed."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False  # musl and others
    return bool(mallopt(_M_MMAP_THRESHOLD, _KEEP)) and bool(mallopt(_M_TRIM_THRESHOLD, _KEEP))
