"""Clips made by code: walking, turning, raising and waving arms, squatting. For tests and a try without data.

No recording, no licence, no likeness to a real person: a few sines on the canonical skeleton. The standing
foot stays where it is, so that the feet don't slide.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kmm_core.clip import MotionClip
from kmm_core.motion import kinematics, rotations
from kmm_core.motion.rotations import Array
from kmm_core.skeleton import JOINT_INDEX, NUM_JOINTS, SOLE_THICKNESS

from ..captions import write_captions
from .recipe import Cut, Dropped, Take

FPS = 30.0
CLIPS_OF_EACH = 12

X_AXIS, Z_AXIS = np.array([1.0, 0.0, 0.0]), np.array([0.0, 0.0, 1.0])
_FEET = [JOINT_INDEX[name] for name in ("left_foot", "right_foot")]

# (action, side, turn) and what is said of it.
_ACTIONS: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    (
        "walk",
        "none",
        "none",
        ("<walk>[ forward| straight ahead| ahead|]", "<stroll> forward", "<go> for a walk"),
    ),
    (
        "walk",
        "none",
        "left",
        ("<walk> and <turn> left", "<walk> in a curve to the left", "<turn> left while walking"),
    ),
    (
        "walk",
        "none",
        "right",
        ("<walk> and <turn> right", "<walk> in a curve to the right", "<turn> right while walking"),
    ),
    ("raise_arm", "left", "none", ("<raise> ~ left [arm|hand]", "<lift> ~ left [arm|hand][ up|]")),
    ("raise_arm", "right", "none", ("<raise> ~ right [arm|hand]", "<lift> ~ right [arm|hand][ up|]")),
    ("raise_arm", "both", "none", ("<raise> both [arms|hands]", "<lift> ~ [arms|hands][ up|]")),
    ("wave", "left", "none", ("<wave> with ~ left hand", "<wave> ~ left hand")),
    ("wave", "right", "none", ("<wave> with ~ right hand", "<wave> ~ right hand")),
    ("squat", "both", "none", ("<squat>[ down|]", "<do> a squat", "<bend> ~ knees and <stand> up again")),
    ("stand", "none", "none", ("<stand> still", "<stand> in place", "<wait>")),
)


def make_clip(action: str, side: str, turn: str, rng: random.Random) -> MotionClip:
    """One clip of 2.5 to 4 s; ``rng`` varies its length, speed and reach."""
    frames = rng.randrange(75, 121)
    time = np.arange(frames) / FPS
    # There, held, and back: 0 at both ends, 1 in the middle.
    there = np.clip(np.minimum(time, time[-1] - time) / rng.uniform(0.6, 0.9), 0, 1)
    there = there * there * (3 - 2 * there)
    sway = 0.03 * np.sin(2 * np.pi * rng.uniform(0.2, 0.4) * time + rng.uniform(0, 6))

    local = np.tile(rotations.IDENTITY, (frames, NUM_JOINTS, 1))
    heading = np.full(frames, 0.0)
    arm_down = {"left": np.full(frames, -1.35), "right": np.full(frames, -1.35)}
    arm_swing = {"left": np.zeros(frames), "right": np.zeros(frames)}
    elbow = {"left": np.full(frames, 0.15), "right": np.full(frames, 0.15)}
    hip = {"left": np.zeros(frames), "right": np.zeros(frames)}
    knee = {"left": np.zeros(frames), "right": np.zeros(frames)}
    standing = np.zeros(frames, dtype=int)

    if action == "walk":
        phase = 2 * np.pi * rng.uniform(0.8, 1.1) * time + rng.uniform(0, 6)
        reach = rng.uniform(0.35, 0.5)
        for name, offset in (("left", 0.0), ("right", np.pi)):
            hip[name] = -reach * np.sin(phase + offset)
            knee[name] = 0.03 + 2 * reach * np.maximum(0, np.cos(phase + offset)) ** 2
            arm_swing[name] = 0.8 * reach * np.sin(phase + offset)
        # The leg that swings back carries the body forward.
        standing = np.where(np.cos(phase) < 0, 0, 1)
        rate = {"left": 1.0, "right": -1.0, "none": 0.0}[turn] * rng.uniform(0.5, 0.8)
        heading = rate * time
    raised = ("left", "right") if side == "both" else (side,)
    if action in ("raise_arm", "wave"):
        for name in raised:
            arm_down[name] = -1.35 + there * rng.uniform(2.3, 2.6)
    if action == "wave":
        arm_down[side] -= 0.7 * there
        elbow[side] = 0.15 + there * (1.3 + 0.35 * np.sin(2 * np.pi * rng.uniform(1.5, 2.2) * time))
    if action == "squat":
        depth = rng.uniform(0.7, 1.0) * there
        for name in ("left", "right"):
            hip[name], knee[name], arm_swing[name] = -depth, 2 * depth, -depth

    local[:, JOINT_INDEX["pelvis"]] = rotations.from_yaw(heading)
    local[:, JOINT_INDEX["spine1"]] = rotations.from_axis_angle(Z_AXIS, sway)
    for name, mirror in (("left", 1.0), ("right", -1.0)):
        # The arms reach sideways at rest: first lowered or raised about Z, then swung about X.
        shoulder = rotations.from_axis_angle(Z_AXIS, mirror * arm_down[name])
        swing = rotations.from_axis_angle(X_AXIS, arm_swing[name])
        local[:, JOINT_INDEX[f"{name}_shoulder"]] = rotations.multiply(swing, shoulder)
        local[:, JOINT_INDEX[f"{name}_elbow"]] = rotations.from_axis_angle(Z_AXIS, mirror * elbow[name])
        local[:, JOINT_INDEX[f"{name}_hip"]] = rotations.from_axis_angle(X_AXIS, hip[name])
        local[:, JOINT_INDEX[f"{name}_knee"]] = rotations.from_axis_angle(X_AXIS, knee[name])
        # The sole stays level.
        local[:, JOINT_INDEX[f"{name}_ankle"]] = rotations.from_axis_angle(X_AXIS, -hip[name] - knee[name])
    return MotionClip(_root_over_standing_foot(local, standing), local, FPS)


def _root_over_standing_foot(local: Array, standing: NDArray[np.integer]) -> Array:
    """Root positions [F, 3] that keep the standing foot on its spot and the lower foot on the floor.

    Args:
        local: rotations, [F, 22, 4].
        standing: 0 where the left foot stands, 1 for the right, [F].
    """
    feet = kinematics.joint_positions(np.zeros((len(local), 3)), local)[:, _FEET]
    root = np.zeros((len(local), 3))
    root[:, 1] = SOLE_THICKNESS - feet[..., 1].min(axis=1)
    for frame in range(1, len(local)):
        foot = feet[frame - 1 : frame + 1, standing[frame]]
        root[frame, [0, 2]] = root[frame - 1, [0, 2]] - (foot[1] - foot[0])[[0, 2]]
    return root


class SyntheticRecipe:
    """Needs no files: ``takes`` finds the same clips in any folder."""

    name = "synthetic"
    version = 1
    licence = "CC0-1.0"
    noncommercial = False
    credit = "Made by code in this project."
    archives: tuple[str, ...] = ()
    share = 1.0

    def takes(self, folder: Path, data: Path) -> list[Take]:
        return [
            Take(
                id="_".join([action, side, turn, f"{number:02d}"]),
                files=(Path(__file__),),
                details={"action": action, "side": side, "turn": turn},
            )
            for action, side, turn, _ in _ACTIONS
            for number in range(CLIPS_OF_EACH)
        ]

    def read(self, take: Take) -> MotionClip:
        return make_clip(
            take.details["action"], take.details["side"], take.details["turn"], random.Random(take.id)
        )

    def cuts(self, take: Take, clip: MotionClip) -> Iterable[Cut | Dropped]:
        [clauses] = [rest for *labels, rest in _ACTIONS if labels == [*take.details.values()]]
        captions = write_captions(clauses, seed=take.id, count=12)
        yield Cut(0, clip.num_frames, captions, dict(take.details))


RECIPE = SyntheticRecipe()
