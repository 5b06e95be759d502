"""What a batch did, for people (progress lines) and for programs (a JSON file). No bpy."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from kmm_core import __version__
from kmm_core.atomic_write import atomic_write, make_folder_of
from kmm_core.errors import KmmError

from . import exit_codes


@dataclass
class TakeReport:
    """One take: its Action, the scene frames that it moves, and the files made of it."""

    action: str
    first_frame: int
    last_frame: int
    exported: list[str] = field(default_factory=list)
    rendered: list[str] = field(default_factory=list)


@dataclass
class ShotReport:
    """One shot.

    Attributes:
        name: of the shot.
        exit_code: what Blender would exit with if it were the only one.
        error: code, message and hint of what failed; None where all went well.
        seed: that was used; None where it never came to that.
        armature: name of the object that was animated.
        prompts: text, first frame and the frame after the last, in scene frames.
        takes: those that were generated, whatever failed afterwards.
        saved: path of the .blend; None where none was written.
        note: what the user should know, such as that the CPU was used or what keeps the motion from showing on the rig.
        seconds: what "generate", "save", "export" and "render" took.
    """

    name: str
    exit_code: int = exit_codes.DONE
    error: dict[str, str] | None = None
    seed: int | None = None
    armature: str | None = None
    prompts: list[dict[str, Any]] = field(default_factory=list)
    takes: list[TakeReport] = field(default_factory=list)
    saved: str | None = None
    note: str = ""
    seconds: dict[str, float] = field(default_factory=dict)

    def fail(self, exit_code: int, error: KmmError) -> None:
        """Notes what went wrong."""
        self.exit_code = exit_code
        self.error = {"code": error.code, "message": error.message, "hint": error.hint}


@dataclass
class Summary:
    """The whole run; ``planned`` shots, of which those in ``shots`` were begun. ``unwritten``: its last state is in no file."""

    blender: str
    planned: int = 0
    backend: dict[str, Any] = field(default_factory=dict)
    shots: list[ShotReport] = field(default_factory=list)
    unwritten: bool = False

    @property
    def exit_code(self) -> int:
        """The first failure's code; 0 where nothing failed, the summary's own file included."""
        own = exit_codes.EXPORT_FAILED if self.unwritten else exit_codes.DONE
        return next((shot.exit_code for shot in self.shots if shot.exit_code), own)

    def write(self, path: Path) -> None:
        """Writes it as JSON; its folder is made.

        Raises:
            KmmError: as ``atomic_write``.
        """
        failed = sum(bool(shot.exit_code) for shot in self.shots)
        content = {
            "kmm": __version__,
            "blender": self.blender,
            "exit_code": self.exit_code,
            "planned": self.planned,
            "done": len(self.shots) - failed,
            "failed": failed,
            "backend": self.backend,
            "shots": [asdict(shot) for shot in self.shots],
        }
        make_folder_of(path)
        with atomic_write(path) as part:
            # A file's name may hold bytes that are no text; in JSON they become an escape such as \\udce9.
            text = json.dumps(content, ensure_ascii=False, indent=2) + "\n"
            part.write_text(text, encoding="utf-8", errors="backslashreplace")
