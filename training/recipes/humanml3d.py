"""HumanML3D as its users have it: ``new_joints``, ``texts`` and the official splits. The motion comes from AMASS."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from kmm_core.clip import MotionClip

from ..data_checks import measure, side_doubt
from .humanml3d_captions import tidy
from .recipe import Cut, Dropped, Take

_LIMIT = 300


class HumanML3D:
    """Clips of the official splits with their captions; a caption with times cuts its part out.

    The mirrored clips (M000001 ...) are left out: preparing mirrors clip and caption itself.
    """

    name = "humanml3d"
    version = 2
    licence = "LicenseRef-AMASS"
    noncommercial = True
    credit = "Guo et al., HumanML3D, 2022; motion from AMASS"
    archives = ("HumanML3D", "humanml3d")
    share = 100.0

    def takes(self, folder: Path, data: Path) -> list[Take]:
        """One take a clip of ``train.txt``, ``val.txt`` and ``test.txt``."""
        from kmm_core.formats.humanml3d import SPLITS, HumanML3DFolder

        if not (folder / "new_joints").is_dir() or not (folder / "texts").is_dir():
            return []
        source = HumanML3DFolder(folder)
        return [
            Take(
                clip_id,
                (folder / "new_joints" / f"{clip_id}.npy", folder / "texts" / f"{clip_id}.txt"),
                split=split,
            )
            for split in SPLITS
            if (folder / f"{split}.txt").is_file()
            for clip_id in source.ids(split)
            if not source.is_mirrored(clip_id)
        ]

    def read(self, take: Take) -> MotionClip:
        """The joint positions solved onto the canonical skeleton."""
        from kmm_core.formats.humanml3d import FPS, HumanML3DFolder
        from kmm_core.motion.inverse_kinematics import clip_from_positions

        return clip_from_positions(HumanML3DFolder(take.files[0].parent.parent).joints(take.id), FPS)

    def cuts(self, take: Take, clip: MotionClip) -> Iterable[Cut | Dropped]:
        """The whole clip, and each part that has captions of its own."""
        from kmm_core.formats.humanml3d import HumanML3DFolder

        spans: dict[tuple[int, int], list[str]] = {}
        for caption in HumanML3DFolder(take.files[0].parent.parent).captions(take.id):
            stop = (
                clip.num_frames
                if caption.end is None
                else min(clip.num_frames, round(caption.end * clip.fps))
            )
            spans.setdefault((round(caption.start * clip.fps), stop), []).append(tidy(caption.text))
        for (start, stop), texts in spans.items():
            stop = min(stop, start + _LIMIT)
            if stop - start < 30:
                yield Dropped("clip", "shorter than 1 s", f"{take.id} {start}-{stop}")
                continue
            measured = measure(clip.slice(start, stop))
            kept = []
            for text in texts:
                # The test split stays as it is: what a model is measured with is not chosen by what it shows.
                doubt = side_doubt(text, measured) if take.split != "test" else ""
                if doubt:
                    yield Dropped(
                        "caption", "a side that the motion does not show", f"{take.id}: {text}: {doubt}"
                    )
                else:
                    kept.append(text)
            # No labels: one action for all would make every caption mean the same, and no pair a mismatch.
            yield Cut(start, stop, tuple(kept), {})


RECIPE = HumanML3D()
