"""UI-PRMD: rehabilitation exercises as joint positions at 30 fps, one repetition a file. Public domain (PDDL)."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

import numpy as np

from kmm_core.clip import MotionClip
from kmm_core.errors import KmmError

from ..captions import write_captions
from ..data_checks import Measurements, measure
from . import phrases
from .arms import HIGH_RAISE, LOW_RAISE, raise_clauses, wrist_height
from .locomotion import Description
from .recipe import Cut, Dropped, Take

_MOVEMENTS = {
    "deep squat": (phrases.SQUAT_ARMS_UP, "squat"),
    "hurdle step": (
        phrases.with_arms_up(phrases.LIFT_KNEE, "~ hands up|~ hands up near the shoulders"),
        "lift_leg",
    ),
    "inline lunge": (phrases.with_arms_up(phrases.INLINE_LUNGE), "lunge"),
    "side lunge": (phrases.with_arms_up(phrases.SIDE_LUNGE), "side_lunge"),
    "sit to stand": (phrases.with_arms_up(phrases.SIT_AND_STAND), "sit_and_stand"),
    "standing active straight leg raise": (phrases.with_arms_up(phrases.LIFT_STRAIGHT_LEG), "lift_leg"),
    "standing shoulder abduction": (phrases.ABDUCT_ARM, "raise_arm"),
    "standing shoulder scaption": (phrases.SCAPTION_ARM, "raise_arm"),
    "standing shoulder extension": (phrases.EXTEND_ARM, "arm_back"),
    "standing shoulder internal-external rotation": (phrases.ROTATE_FOREARM, "rotate_forearm"),
}


class UiPrmd:
    """``joints/<clip_id>.npy`` with ``labels.csv``."""

    name = "ui_prmd"
    version = 12
    licence = "PDDL-1.0"
    noncommercial = False
    credit = "Vakanski et al., Data 3(1):2, 2018"
    archives = ("ui-prmd",)
    # Repetitive: at most about 12 % of the samples, also where only the permissive sources are trained on.
    share = 10.5
    emphasis: ClassVar[dict[str, float]] = {
        "raise_arm": 3.0,
        "lift_leg": 3.5,
        "lower_arm": 0.7,
        "arm_back": 1.8,
    }

    def takes(self, folder: Path, data: Path) -> list[Take]:
        """One take a row of ``labels.csv``; the repetitions of a subject's movement are one recording."""
        labels = folder / "labels.csv"
        if not labels.is_file() or not (folder / "joints").is_dir():
            return []
        with labels.open(encoding="utf-8", newline="") as file:
            return [
                Take(
                    row["clip_id"],
                    (folder / "joints" / f"{row['clip_id']}.npy",),
                    recording=row["clip_id"].rsplit("_", 1)[0],
                    details={key: row[key] for key in ("movement", "side", "description", "note")},
                )
                for row in csv.DictReader(file)
            ]

    def read(self, take: Take) -> MotionClip:
        """The joint positions solved onto the canonical skeleton."""
        from kmm_core.motion.inverse_kinematics import clip_from_positions

        try:
            positions = np.load(take.files[0], allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise KmmError(
                "bad_joints", f"{take.files[0]} can't be read ({error}).", "Download it again."
            ) from None
        return clip_from_positions(positions, fps=30.0)

    def cuts(self, take: Take, clip: MotionClip) -> Iterable[Cut | Dropped]:
        """The repetition, and for raised arms its two halves."""
        movement, side, note = (take.details[key] for key in ("movement", "side", "note"))
        description = take.details["description"].rstrip(".")
        if note.startswith("badly cut"):
            yield Dropped("clip", "badly cut at the source", f"{take.id}: {note}")
            return
        measured = measure(clip)
        shown = shown_side(movement, measured)
        if side in ("left", "right") and shown not in (side, "unknown"):
            yield Dropped(
                "clip", "the motion does not show the labelled side", f"{take.id}: {side}, shows {shown}"
            )
            return
        clauses, action = _MOVEMENTS[movement]
        up: tuple[str, ...] = ()
        if action == "raise_arm":
            top = wrist_height(clip, side).max()
            up = raise_clauses(top)
            if top < LOW_RAISE:
                clauses = phrases.SCAPTION_ARM_LOW
            elif top > HIGH_RAISE and "abduction" in movement:
                clauses = (*clauses, *phrases.ABDUCT_ARM_HIGH)
            clauses = (*clauses, *raise_clauses(top, comes_down=True))
        described = Description(clauses, action, side=side)
        whole = (0, min(clip.num_frames, 300))
        if "other arm" in note:
            # Both arms are up in these: only the full sentence says so.
            yield Cut(*whole, (description,), Description((), action, side="both").labels())
            return
        captions = write_captions(clauses, seed=take.id, side=side, count=23)
        yield Cut(*whole, (*captions, description), described.labels())
        if action == "raise_arm":
            height = wrist_height(clip, side)
            top = height > height.max() - 0.1 * np.ptp(height)
            first, last = int(np.argmax(top)), int(len(top) - 1 - np.argmax(top[::-1]))
            for start, stop, name, templates in (
                (0, last + 1, "raise_arm", up),
                (first, clip.num_frames, "lower_arm", phrases.LOWER_ONE),
            ):
                if 30 <= stop - start <= 300:
                    part = Description(templates, name, side=side)
                    yield Cut(
                        start,
                        stop,
                        write_captions(templates, seed=f"{take.id}_{start}", side=side),
                        part.labels(),
                    )


def shown_side(movement: str, measured: Measurements) -> str:
    """The side that the geometry shows, or "unknown" for movements that say nothing about it."""
    if "abduction" in movement or "scaption" in movement:
        return measured.wrist_rise.clear(0.15)
    if "extension" in movement or "rotation" in movement:
        return measured.wrist_travel.clear(0.05)
    if "leg raise" in movement or "hurdle" in movement:
        return measured.ankle_top.clear(0.05)
    return "unknown"


RECIPE = UiPrmd()
