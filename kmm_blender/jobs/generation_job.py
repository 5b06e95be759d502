"""GenerationJob: what the panel and the batch script see of one generation. No bpy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from kmm_core.clip import MotionClip
from kmm_core.errors import KmmError
from kmm_core.protocol import GenerateRequest

JobState = Literal["waiting", "starting", "loading", "generating", "done", "failed", "cancelled"]


@dataclass(eq=False)
class GenerationJob:
    """One generation. ``WorkerClient`` makes it and keeps it up to date; everyone else only reads it.

    Attributes:
        request: what was asked for.
        state: waiting behind another job; starting the worker; loading the model; generating; done; failed; cancelled.
        stage: what is being worked on, a few words for the panel.
        done: how much of the stage is finished, of ``total``.
        total: size of the stage; 0 where it is unknown.
        seconds_left: estimate for the whole job, or None.
        clips: one a take, once the state is "done".
        seconds: what each stage took in the worker, once the state is "done".
        note: what the user should know about a finished job, such as that the CPU was used; may be empty.
        error: why, once the state is "failed".
    """

    request: GenerateRequest
    state: JobState = "waiting"
    stage: str = ""
    done: int = 0
    total: int = 0
    seconds_left: float | None = None
    clips: list[MotionClip] | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    note: str = ""
    error: KmmError | None = None

    @property
    def id(self) -> str:
        """The request's job name."""
        return self.request.job

    @property
    def finished(self) -> bool:
        """Whether the state will not change any more."""
        return self.state in ("done", "failed", "cancelled")
