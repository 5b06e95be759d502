"""BackendInstall and BackendCheck: a subprocess sets up or tests the backend while Blender goes on. No bpy, no threads.

Call ``poll()`` from a timer until ``finished``; everything else is read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from kmm_core.errors import KmmError

from .backend import BackendRecord

TorchBuild = Literal["auto", "cpu"]
SetupState = Literal["running", "done", "failed", "cancelled"]


class BackendInstall:
    """An installation of the backend; starts at once.

    Args:
        folder: the backend's folder; made if missing.
        build: "auto" takes CUDA for a graphics card that can use it; "cpu" never does.

    Attributes:
        state: running, done, failed or cancelled.
        stage: what is being done, a few words for the panel.
        done: how much of the stage is finished, of ``total``; bytes while downloading.
        total: size of the stage; 0 where it is unknown.
        seconds_left: of the download, or None.
        record: what the backend can do, once the state is "done".
        error: why, once the state is "failed".
        log: file with everything that was done.
    """

    def __init__(self, folder: Path, *, build: TorchBuild = "auto"):
        self.state: SetupState = "running"
        self.stage: str = ""
        self.done: int = 0
        self.total: int = 0
        self.seconds_left: float | None = None
        self.record: BackendRecord | None = None
        self.error: KmmError | None = None
        self.log: Path

    @property
    def finished(self) -> bool:
        """Whether the state will not change any more."""
        return self.state != "running"

    def poll(self) -> None:
        """Reads what the subprocess reports. Takes at most a few milliseconds."""
        raise NotImplementedError

    def cancel(self) -> None:
        """Stops; what was downloaded stays for the next try."""
        raise NotImplementedError


class BackendCheck(BackendInstall):
    """A test of a Python that the user points at; ends with ``record``. Nothing is installed into it."""

    def __init__(self, folder: Path, python: Path):
        raise NotImplementedError
