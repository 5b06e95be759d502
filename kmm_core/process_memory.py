"""How much main memory this process uses. Standard library only."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path


def resident_bytes() -> int:
    """Resident memory now (on macOS its peak); 0 where the system does not tell."""
    try:
        if sys.platform == "win32":
            return _windows_working_set()
        if sys.platform == "darwin":
            import resource

            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        import resource

        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except (ImportError, OSError, ValueError, AttributeError):
        return 0


def _windows_working_set() -> int:
    """PROCESS_MEMORY_COUNTERS.WorkingSetSize: the third of its numbers, after two of 32 bits."""
    counters = (ctypes.c_size_t * 9)()
    kernel = ctypes.WinDLL("kernel32")  # type: ignore[attr-defined] - Windows only
    kernel.GetCurrentProcess.restype = ctypes.c_void_p
    kernel.K32GetProcessMemoryInfo.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint32)
    kernel.K32GetProcessMemoryInfo(kernel.GetCurrentProcess(), counters, ctypes.sizeof(counters))
    return int(counters[2])
