"""Keeps freed memory in the process, so that every decoding step does not fault its pages in anew.

glibc gives large blocks back to the system at once and zeroes them again at the next use; on a CPU that was a fifth of
the time of a generation (benchmarks/generation.py). Only Linux with glibc; elsewhere nothing happens.
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
