"""BABEL's labels and the AMASS files that they describe (Punnakkal et al. 2021). Light zone: no torch.

FOLDER/babel-teach/train.json, val.json     the labels; as TEACH lays them out. FOLDER/train.json and so on will do as well
FOLDER/amass/KIT/KIT/3/kick_poses.npz       AMASS's SMPL-H files; a label file names each as "feat_p"

BABEL names a data set's folder twice (its archive, and the folder in it); AMASS's archives unpack to one of them. Both are
found, and below FOLDER itself as well. What TEACH makes of these, ``babel-smplh-30fps-male/val.pth.tar``, is a pickle,
which could run code, and is not read.

A label file is a table of recordings; of a recording are read ``babel_sid``, ``feat_p``, ``dur`` and either ``frame_ann``
(labels with ``start_t`` and ``end_t`` in seconds) or, where that is null, ``seq_ann`` (labels of the whole recording).
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import KmmError

SPLITS = ("train", "val")
# AMASS files whose frame rate is known to be wrong: TEACH's list.
_TRUE_RATE = {"BMLhandball": 240.0, "20160930_50032": 59.0, "20161014_50033": 59.0}
_SOURCE = "Get the labels from https://babel.is.tue.mpg.de and the motion (SMPL+H G) from https://amass.is.tue.mpg.de."


@dataclass(frozen=True)
class BabelLabel:
    """One action.

    Attributes:
        text: as BABEL's annotators corrected it ("proc_label"); as it was typed where they did not.
        start, end: seconds.
    """

    text: str
    start: float
    end: float


@dataclass(frozen=True)
class BabelRecording:
    """One AMASS sequence with its labels.

    Attributes:
        id: BABEL's number.
        motion: the AMASS file; None if it was not found.
        named: that file as BABEL names it.
        labels: actions, by their start.
        whole: whether they describe the whole recording, because the annotators gave no times.
    """

    id: str
    motion: Path | None
    named: Path
    labels: tuple[BabelLabel, ...]
    whole: bool


def label_file(folder: Path, split: str) -> Path | None:
    """The label file of a split in ``folder``; None if there is none."""
    places = [folder / below / f"{split}.json" for below in ("babel-teach", "")]
    return next((place for place in places if place.is_file()), None)


def true_rate(name: str, fps: float) -> float:
    """Frames a second of an AMASS file.

    Args:
        name: its path, which tells some wrong rates.
        fps: what the file says.
    """
    return next((true for part, true in _TRUE_RATE.items() if part in name), fps)


def read_babel(folder: str | Path, split: str, amass: str | Path | None = None) -> list[BabelRecording]:
    """The labelled recordings of a split, in the file's order.

    Args:
        folder: see the top of this file.
        split: "train" or "val"; BABEL's test labels are not public.
        amass: another folder to look for AMASS files in, as in ``folder``.

    Raises:
        KmmError: ``bad_babel`` where the folder or the label file is missing or broken; names the recording.
    """
    folder = Path(folder)
    if split not in SPLITS:
        raise KmmError("bad_babel", f"split={split!r} is not one of {', '.join(SPLITS)}.", "Choose one.")
    file = label_file(folder, split)
    if file is None:
        raise KmmError(
            "bad_babel", f"{folder} holds neither babel-teach/{split}.json nor {split}.json.", _SOURCE
        )
    try:
        rows = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise KmmError("bad_babel", f"{file} is not readable JSON ({error}).", "Download it again.") from None
    if not isinstance(rows, dict) or not rows:
        raise KmmError("bad_babel", f"{file} is not a table of recordings.", _SOURCE)
    roots = [folder] if amass is None else [folder, Path(amass)]
    recordings = []
    for key, row in rows.items():
        try:
            recordings.append(_recording(row, roots))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise KmmError(
                "bad_babel",
                f"{file}: recording {key} can't be read ({type(error).__name__}: {error}).",
                "Download it again.",
            ) from None
    return [recording for recording in recordings if recording.labels]


def _recording(row: dict, roots: Sequence[Path]) -> BabelRecording:
    timed = row.get("frame_ann")
    annotation = timed or row.get("seq_ann") or {"labels": []}
    duration = float(row["dur"])
    labels = []
    for label in annotation["labels"]:
        text = (label.get("proc_label") or label["raw_label"]).strip()
        start, end = (float(label["start_t"]), float(label["end_t"])) if timed else (0.0, duration)
        if not (math.isfinite(start) and math.isfinite(end)):
            raise ValueError(f"a label goes from {start} to {end} s")
        labels.append(BabelLabel(text, start, end))
    labels.sort(key=lambda label: (label.start, label.end))
    named = Path(row["feat_p"])
    return BabelRecording(str(row["babel_sid"]), _motion(named, roots), named, tuple(labels), not timed)


def _motion(named: Path, roots: Sequence[Path]) -> Path | None:
    ways = (named, Path(*named.parts[1:]))
    candidates = [top / way for root in roots for top in (root / "amass", root) for way in ways]
    return next((path for path in candidates if path.is_file()), None)
