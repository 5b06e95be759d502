"""BABEL as TEACH lays it out: ``train.json`` and ``val.json`` beside the AMASS folders. For users who have both."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from kmm_core.clip import MotionClip
from kmm_core.errors import KmmError

from ..captions import mirror_caption, names_a_side
from ..data_checks import measure, side_doubt
from .humanml3d_captions import tidy
from .recipe import Cut, Dropped, Take

# BABEL holds no test labels; the published protocol tests on the validation split.
_SPLITS = {"train": "train", "val": "test"}
_NOT_AN_ACTION = {"transition", "t-pose", "a-pose", "t pose", "a pose", "unknown"}


class Babel:
    """One take a labelled AMASS sequence; every frame-level segment becomes a clip, so neighbours make timelines."""

    name = "babel"
    version = 1
    licence = "LicenseRef-AMASS"
    noncommercial = True
    credit = "Punnakkal et al., BABEL, 2021; motion from AMASS"
    archives = ("babel", "BABEL", "babel_v1.0_release")
    share = 100.0

    def takes(self, folder: Path, data: Path) -> list[Take]:
        """Sequences whose AMASS file is found below ``folder``, ``data`` or an ``amass`` folder in either."""
        found = []
        for file, split in _SPLITS.items():
            path = folder / f"{file}.json"
            if not path.is_file():
                continue
            try:
                sequences = json.loads(path.read_text(encoding="utf-8")).values()
                found += [
                    take
                    for row in sequences
                    for take in [_take(row, split, (folder, data))]
                    if take is not None
                ]
            except (ValueError, AttributeError, KeyError, TypeError) as error:
                raise KmmError(
                    "bad_babel",
                    f"{path} is not a BABEL label file ({type(error).__name__}: {error}).",
                    "Fetch it again.",
                ) from None
        return found

    def read(self, take: Take) -> MotionClip:
        """The AMASS sequence on the canonical skeleton."""
        from kmm_core.formats.amass import read_amass

        return read_amass(take.files[0])

    def cuts(self, take: Take, clip: MotionClip) -> Iterable[Cut | Dropped]:
        """One clip a labelled segment of 1 to 10 s."""
        for start, end, text in take.details["segments"]:
            first, last = round(start * clip.fps), min(clip.num_frames, round(end * clip.fps))
            caption = tidy(text)
            if caption in _NOT_AN_ACTION:
                continue
            if not 30 <= last - first <= 300:
                yield Dropped("clip", "not between 1 and 10 s", f"{take.id} {start:.1f}-{end:.1f}")
                continue
            doubt = side_doubt(caption, measure(clip.slice(first, last))) if names_a_side(caption) else ""
            if doubt:
                yield Dropped(
                    "caption", "a side that the motion does not show", f"{take.id}: {caption}: {doubt}"
                )
                continue
            side = "none" if mirror_caption(caption) == caption else "left" if "left" in caption else "right"
            labels = {"action": caption.split()[0], "side": side, "turn": "none", "style": "normal"}
            yield Cut(first, last, (caption,), labels)


def _take(row: dict, split: str, folders: tuple[Path, ...]) -> Take | None:
    """A take where the row has labels and its motion is there. ``feat_p`` names the data set twice in BABEL's files."""
    annotation = row.get("frame_ann") or row.get("seq_ann")
    if not annotation:
        return None
    relative = Path(row["feat_p"])
    shorter = Path(*relative.parts[1:])
    candidates = [
        folder / below / path for folder in folders for below in ("", "amass") for path in (relative, shorter)
    ]
    motion = next((path for path in candidates if path.is_file()), None)
    if motion is None:
        return None
    segments = [
        (
            float(label.get("start_t") or 0.0),
            float(label["end_t"]) if label.get("end_t") is not None else float(row["dur"]),
            label.get("proc_label") or label["raw_label"],
        )
        for label in annotation["labels"]
    ]
    return Take(f"babel_{row['babel_sid']}", (motion,), split=split, details={"segments": segments})


RECIPE = Babel()
