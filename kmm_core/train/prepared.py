"""Prepared clips: what ``kmm-train prepare`` writes and training reads.

One folder a source: ``manifest.jsonl`` (one row a clip) and ``clips/<id>.npz`` (``root_positions`` [F, 3] m and
``local_rotations`` [F, 22, 4] wxyz as float32, ``fps``). Clips stand on the floor, start at x = z = 0 facing +Z, and
run at 30 frames a second.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

import numpy as np

from ..atomic_write import atomic_write
from ..clip import MotionClip
from ..errors import KmmError
from ..motion import rotations

PREPARED_FPS = 30.0
MANIFEST = "manifest.jsonl"
JOURNAL = "journal.jsonl"  # of kmm-train prepare: what it made each take from
# How both are opened: a name of a file may hold bytes that are no text, which become an escape such as \udce9, as JSON has it.
JSON_LINES = {"encoding": "utf-8", "errors": "backslashreplace"}


@dataclass(frozen=True)
class PreparedClip:
    """One row of a manifest.

    Attributes:
        id: unique in its source.
        source: the recipe's name, also the folder's.
        licence: SPDX-like, for example "CC-BY-NC-4.0".
        noncommercial: whether the licence forbids commercial use.
        split: "train", "val" or "test"; fixed by a hash of the recording.
        recording: the take it was cut from. Clips of one recording share its split.
        start: seconds from the start of that take; neighbours in time make up timelines.
        frames: length at 30 frames a second.
        captions: sentences that describe it.
        mirrored_captions: the same sentences for the mirrored clip.
        labels: "action", "side" (left, right, both, none), "turn" (left, right, none), "style".
        weight: how often to draw it, relative to the others.
    """

    id: str
    source: str
    licence: str
    noncommercial: bool
    split: str
    recording: str
    start: float
    frames: int
    captions: tuple[str, ...]
    mirrored_captions: tuple[str, ...]
    labels: dict[str, str] = field(default_factory=dict)
    weight: float = 1.0

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return self.frames / PREPARED_FPS


_FIELDS = {item.name for item in fields(PreparedClip)}


def read_manifest(folder: str | Path) -> list[PreparedClip]:
    """Every clip of a prepared source, or of all sources where ``folder`` holds one folder a source.

    Raises:
        KmmError: ``no_manifest`` where there is none, ``bad_manifest`` where a row can't be read.
    """
    folder = Path(folder)
    own = folder / MANIFEST
    manifests = [own] if own.is_file() else sorted(folder.glob(f"*/{MANIFEST}"))
    if not manifests:
        raise KmmError(
            "no_manifest",
            f"{folder} holds no {MANIFEST} and no folder with one.",
            "Run kmm-train prepare first.",
        )
    return [clip for manifest in manifests for clip in _read_rows(manifest)]


def _read_rows(manifest: Path) -> Iterable[PreparedClip]:
    with manifest.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                row = json.loads(line)
                row = {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}
                yield PreparedClip(**{key: value for key, value in row.items() if key in _FIELDS})
            except (ValueError, TypeError, AttributeError) as error:
                raise KmmError(
                    "bad_manifest",
                    f"{manifest}, line {number}: not a row of a manifest ({error}).",
                    "Delete the file and run kmm-train prepare again.",
                ) from None


def write_manifest(folder: Path, clips: Iterable[PreparedClip]) -> None:
    """``<folder>/manifest.jsonl``, written whole or not at all."""
    with atomic_write(folder / MANIFEST) as temporary, temporary.open("w", **JSON_LINES) as file:
        for clip in clips:
            file.write(json.dumps(asdict(clip), ensure_ascii=False) + "\n")


def clip_path(folder: Path, clip_id: str) -> Path:
    """Where the motion of a clip lies, in the folder of its source."""
    return folder / "clips" / f"{clip_id}.npz"


def save_clip(path: Path, clip: MotionClip) -> None:
    """One clip as float32 ``.npz``, written whole or not at all."""
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        np.savez(
            file,
            root_positions=clip.root_positions.astype(np.float32),
            local_rotations=clip.local_rotations.astype(np.float32),
            fps=np.float32(clip.fps),
        )


def load_clip(folder: str | Path, prepared: PreparedClip) -> MotionClip:
    """The motion of one row.

    Args:
        folder: as given to ``read_manifest``.
        prepared: the row.

    Raises:
        KmmError: ``bad_prepared_clip`` where the file is missing or broken, ``no_clips`` where all are missing.
    """
    folder = Path(folder)
    path = clip_path(folder if (folder / MANIFEST).is_file() else folder / prepared.source, prepared.id)
    if not path.parent.is_dir():
        raise KmmError(
            "no_clips",
            f"{path.parent} is missing; features alone are enough to train with, but not for this.",
            "Carry that folder over, too, or run kmm-train prepare here.",
        )
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return MotionClip(
                root_positions=arrays["root_positions"].astype(float),
                # float32 quaternions are only nearly of unit length.
                local_rotations=rotations.normalize(arrays["local_rotations"].astype(float)),
                fps=float(arrays["fps"]),
            )
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise KmmError(
            "bad_prepared_clip",
            f"{path} is missing or broken ({error}).",
            "Delete it and run kmm-train prepare again.",
        ) from None
