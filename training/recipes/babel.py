"""BABEL in TEACH's folders, see ``kmm_core.formats.babel``. For users who have it and AMASS."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from kmm_core.clip import MotionClip
from kmm_core.formats.babel import label_file, read_babel, true_rate

from ..captions import mirror_caption, names_a_side
from ..data_checks import measure, side_doubt
from .humanml3d_captions import tidy
from .recipe import Cut, Dropped, Take, split_of

# BABEL holds no test labels; the published protocol tests on the validation split. So that weights are not chosen by what
# they are measured on, nor by what they learned, a twentieth of the training recordings is held out for that.
_SPLITS = {"train": "train", "val": "test"}
_NOT_AN_ACTION = {"transition", "t-pose", "a-pose", "t pose", "a pose", "unknown"}


class Babel:
    """One take a labelled AMASS sequence; every labelled segment of it becomes a clip."""

    name = "babel"
    version = 5
    licence = "LicenseRef-AMASS"
    noncommercial = True
    credit = "Punnakkal et al., BABEL, 2021; motion from AMASS"
    archives = ("babel", "BABEL", "babel_v1.0_release")
    share = 100.0

    def takes(self, folder: Path, data: Path) -> list[Take]:
        """Labelled sequences, with their AMASS file below ``folder``, ``data`` or an ``amass`` folder in either.

        One whose file is not there is listed as skipped; none where no file is.
        """
        recordings = [
            (recording, split)
            for file, split in _SPLITS.items()
            if label_file(folder, file)
            for recording in read_babel(folder, file, amass=data)
        ]
        if not any(recording.motion for recording, _ in recordings):
            return []
        return [
            Take(
                f"babel_{recording.id}",
                (recording.motion or folder / "amass" / recording.named,),
                split="val" if split == "train" and split_of(self.name, recording.id) == "val" else split,
                details={"segments": [(label.start, label.end, label.text) for label in recording.labels]},
            )
            for recording, split in recordings
        ]

    def read(self, take: Take) -> MotionClip:
        """The AMASS sequence on the canonical skeleton, known wrong frame rates corrected."""
        from kmm_core.formats.amass import read_amass

        clip = read_amass(take.files[0])
        return replace(clip, fps=true_rate(take.files[0].as_posix(), clip.fps))

    def cuts(self, take: Take, clip: MotionClip) -> Iterable[Cut | Dropped]:
        """One clip a labelled segment of 1 to 10 s, with every label that it has."""
        segments: dict[tuple[int, int], dict[str, None]] = {}
        for start, end, text in take.details["segments"]:
            span = max(0, round(start * clip.fps)), min(clip.num_frames, round(end * clip.fps))
            caption = tidy(text)
            if caption and caption not in _NOT_AN_ACTION:
                segments.setdefault(span, {})[caption] = None
        for (first, last), texts in segments.items():
            if not 30 <= last - first <= 300:
                yield Dropped("clip", "not between 1 and 10 s", f"{take.id} {first}-{last}")
                continue
            measured = measure(clip.slice(first, last))
            captions = []
            for caption in texts:
                # What is measured is not chosen by what it shows.
                doubted = take.split != "test" and names_a_side(caption)
                doubt = side_doubt(caption, measured) if doubted else ""
                if doubt:
                    yield Dropped(
                        "caption", "a side that the motion does not show", f"{take.id}: {caption}: {doubt}"
                    )
                else:
                    captions.append(caption)
            if captions:
                yield Cut(first, last, tuple(captions), labels_of(captions[0]))


def labels_of(caption: str) -> dict[str, str]:
    """Clips of equal labels mean the same to training: those of equal captions, as in evaluation, and the mirror images of
    those whose captions name the other side."""
    other = mirror_caption(caption)
    # "left" comes before "right", and so shall "counterclockwise" before "clockwise".
    ours, theirs = (text.replace("counter", "a") for text in (caption, other))
    side = "none" if caption == other else "left" if ours < theirs else "right"
    return {"action": min(caption, other), "side": side, "turn": "none", "style": "normal"}


RECIPE = Babel()
