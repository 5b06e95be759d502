"""WorkerClient: keeps one worker process warm and feeds it jobs, without threads and without ever blocking. No bpy.

One ``poll()`` after another moves everything on: call it from a timer while ``state`` is not "stopped", or let
``wait()`` call it where timers never fire (``blender -b``).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from kmm_core.protocol import GenerateRequest, Ready

from .generation_job import GenerationJob

ClientState = Literal["stopped", "starting", "loading", "ready", "busy", "failed"]


class WorkerClient:
    """The worker as Blender sees it. The process starts with the first job.

    Args:
        python: interpreter that has torch; checked when it starts.
        log: file for what the worker prints; made if missing.
        idle_seconds: a worker without a job for this long is ended, which frees all its memory; None keeps it.
    """

    def __init__(self, python: Path, log: Path, *, idle_seconds: float | None = 600.0):
        self.python = python
        self.log = log
        self.idle_seconds = idle_seconds

    @property
    def state(self) -> ClientState:
        """stopped; starting the process; loading a model; ready for a job; busy with one; failed to start or died."""
        raise NotImplementedError

    @property
    def info(self) -> Ready | None:
        """What runs, or None while no model is loaded."""
        raise NotImplementedError

    def generate(self, request: GenerateRequest) -> GenerationJob:
        """Queues a job and starts the worker if need be. Never raises: what goes wrong is in ``job.error``."""
        raise NotImplementedError

    def cancel(self, job: GenerationJob) -> None:
        """Cancels a job: its state is "cancelled" at once, and the worker stops before its next decoding step."""
        raise NotImplementedError

    def poll(self) -> None:
        """Moves everything on. Takes at most a few milliseconds."""
        raise NotImplementedError

    def wait(
        self,
        job: GenerationJob,
        timeout: float | None = None,
        on_progress: Callable[[GenerationJob], None] | None = None,
    ) -> GenerationJob:
        """Polls until the job is finished, for scripts. After ``timeout`` seconds it is cancelled and failed ("timeout")."""
        raise NotImplementedError

    def unload(self) -> bool:
        """Ends a worker that has no job, which frees all its memory. Returns False, doing nothing, where it has one."""
        raise NotImplementedError

    def close(self) -> None:
        """Ends the worker now; unfinished jobs are cancelled. The client can be used again. Takes milliseconds."""
        raise NotImplementedError

    def log_tail(self, lines: int = 50) -> list[str]:
        """The last lines that the worker printed."""
        raise NotImplementedError
