"""What ``kmm_batch.py`` exits with, for render farms. No bpy."""

from __future__ import annotations

from kmm_core.errors import KmmError

DONE = 0
# 1 is Python's own: a fault of ours, with a traceback.
BAD_ARGUMENTS = 2
NO_BACKEND = 3
GENERATION_FAILED = 4
RENDER_FAILED = 5
EXPORT_FAILED = 6


class ShotError(KmmError):
    """A KmmError with the exit code of the step that failed."""

    def __init__(self, exit_code: int, error: KmmError):
        super().__init__(error.code, error.message, error.hint)
        self.exit_code = exit_code
