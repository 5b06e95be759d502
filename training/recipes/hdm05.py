"""HDM05 cuts: ASF/AMC at 120 fps, the label in the file's name. CC BY-SA 3.0."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from kmm_core.clip import MotionClip
from kmm_core.evaluate import geometry
from kmm_core.motion import rotations
from kmm_core.motion.foot_contact import clean_feet
from kmm_core.skeleton import ARM_JOINTS

from ..captions import write_captions
from ..data_checks import Measurements, measure
from . import phrases
from .events import find_events
from .locomotion import Description
from .recipe import Cut, Dropped, Take
from .skeletal_files import read_skeletal

_NAME = re.compile(r"HDM_([a-z]{2})_([A-Za-z0-9]+)_(\d+)_120$")
LABELS = {
    "depositFloorR": Description(phrases.DEPOSIT, "bend_down", side="right"),
    "grabHighR": Description(phrases.GRAB_HIGH, "reach_up", side="right"),
    "kickLFront1Reps": Description(phrases.KICK_FRONT, "kick", side="left"),
    "kickRFront1Reps": Description(phrases.KICK_FRONT, "kick", side="right"),
    "squat1Reps": Description(phrases.SQUAT, "squat"),
    "lieDownFloor": Description(phrases.LIE_DOWN, "lie_down"),
    "rotateArmsBothBackward1Reps": Description(phrases.ARM_CIRCLES_BACK, "arm_circles"),
    "elbowToKnee1RepsLelbowStart": Description(phrases.ELBOW_TO_KNEE, "elbow_to_knee"),
    "hopBothLegs1hops": Description(phrases.HOP_FORWARD, "hop"),
    "sneak2StepsLStart": Description(phrases.SNEAK, "sneak"),
    "jogLeftCircle4StepsRstart": Description(phrases.RUN_CURVE, "run_turn", turn="left"),
    "throwBasketball": Description(phrases.THROW, "throw"),
}
_BOW = Description(phrases.BOW, "bow")
_BOW_DEPTH = 0.5
_BRISK = 0.7  # of the time it took
_THROWN_AHEAD = 0.65  # m/s of the hand to the front; a ball thrown with less goes up, as at a basket
# Some of the runs in a circle are walks: metres a second, seconds off the floor.
_SLOWEST_RUN, _FLIGHT = 1.4, 0.06
_ARMS = [*ARM_JOINTS["left"], *ARM_JOINTS["right"]]


class Hdm05:
    """The cut sequences; cuts of one actor and label are one recording."""

    name = "hdm05"
    version = 9
    licence = "CC-BY-SA-3.0"
    noncommercial = False
    credit = "Mueller et al., Documentation Mocap Database HDM05, 2007"
    archives = ("hdm05", "HDM05_cut_amc", "HDM05-Skinned")
    share = 18.0
    emphasis: ClassVar[dict[str, float]] = {
        "throw": 4.0,
        "kick": 3.0,
        "run_turn": 2.0,
        "bend_down": 2.5,
        "bow": 2.5,
        "lie_down": 2.0,
    }

    def takes(self, folder: Path, data: Path) -> list[Take]:
        """One take a cut; ``index.csv`` tells about defects where there is one."""
        defects = {}
        if (folder / "index.csv").is_file():
            with (folder / "index.csv").open(encoding="utf-8", newline="") as file:
                defects = {row.get("clip", ""): row.get("defect", "") for row in csv.DictReader(file)}
        paths = sorted(path for path in folder.rglob("HDM_*_120.amc") if _NAME.match(path.stem))
        skeletons = {path.stem.removeprefix("HDM_"): path for path in folder.rglob("*.asf")} if paths else {}
        found = []
        for path in paths:
            actor, label, _ = _NAME.match(path.stem).groups()
            asf = skeletons.get(actor, path.with_name(f"HDM_{actor}.asf"))
            details = {"label": label, "defect": defects.get(path.stem, "")}
            found.append(Take(path.stem, (path, asf), recording=f"{actor}_{label}", details=details))
        return found

    def read(self, take: Take) -> MotionClip:
        """The cut on the canonical skeleton; one a little shorter than a second holds its last pose until then."""
        clip = read_skeletal(*take.files)
        if 0.55 <= clip.seconds < 1.05:
            clip = replace(clip).resample(clip.fps, num_frames=round(1.05 * clip.fps))
        return clip

    def cuts(self, take: Take, clip: MotionClip) -> Iterable[Cut | Dropped]:
        """The whole cut, and what happens before and after its action."""
        label, defect = take.details["label"], take.details["defect"]
        if defect:
            yield Dropped("clip", "a defect named by the index", f"{take.id}: {defect}")
            return
        described = LABELS.get(label)
        if described is None:
            yield Dropped("clip", "no sentences for this label", f"{take.id}: {label}")
            return
        if not shown(described, measure(clip)):
            yield Dropped("clip", "the motion does not show the label", f"{take.id}: {label}")
            return
        if described.action == "throw" and geometry.forward_drive(clip) < _THROWN_AHEAD:
            described = replace(described, clauses=phrases.BASKET_SHOT)
        captions = write_captions(described.clauses, seed=take.id, side=described.named)
        frames = min(clip.num_frames, 300)
        yield Cut(0, frames, captions, described.labels())
        if described.action == "bend_down" and bends_at_the_waist(bow(clip.slice(0, frames))):
            captions = write_captions(_BOW.clauses, seed=f"{take.id}_bow")
            yield Cut(0, frames, captions, _BOW.labels(), change=bow)
        if described.action == "throw":
            captions = write_captions(described.clauses, seed=f"{take.id}_brisk")
            yield Cut(0, frames, captions, described.labels(), change=brisk)
        yield from find_events(take.id, clip)


def brisk(clip: MotionClip) -> MotionClip:
    """As fast as a throw that goes far: these are shots at a basket, and not every throw takes four seconds."""
    return replace(clip.resample(clip.fps * _BRISK), fps=clip.fps)


def bow(clip: MotionClip) -> MotionClip:
    """A bow, which no permissive source shows, out of bending to the floor: half of the way, the arms as they hang at first."""
    first = clip.local_rotations[:1]
    local = rotations.slerp(first, clip.local_rotations, _BOW_DEPTH)
    local[:, _ARMS] = first[:, _ARMS]
    root = clip.root_positions[:1] + _BOW_DEPTH * (clip.root_positions - clip.root_positions[:1])
    return clean_feet(replace(clip, local_rotations=local, root_positions=root))


def bends_at_the_waist(clip: MotionClip) -> bool:
    """Whether the trunk leans far while the legs stay nearly straight; some crouch to reach the floor."""
    lean = np.degrees(geometry.held_peak(geometry.trunk_pitch(clip), clip.fps))
    return lean > 35 and geometry.held_low(geometry.pelvis_height(clip), clip.fps) > 0.85


def shown(described: Description, measured: Measurements) -> bool:
    """Whether the geometry agrees with the label where it can."""
    if described.action == "kick":
        return measured.ankle_top.clear(0.1) == described.side
    if described.action == "reach_up":
        return measured.wrist_top.clear(0.1) == described.side and measured.wrist_top[described.side] > 0.0
    if described.action == "run_turn":
        runs = measured.speed > _SLOWEST_RUN or measured.flight > _FLIGHT
        return runs and measured.turn * (1 if described.turn == "left" else -1) > np.radians(20)
    if described.action == "squat":
        return measured.pelvis_high - measured.pelvis_low > 0.2
    if described.action == "lie_down":
        return measured.pelvis_low < 0.4
    return True


RECIPE = Hdm05()
