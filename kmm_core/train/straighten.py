"""A straight line out of a curve (ours): few studios are long enough to walk far in one direction.

Shapes: F frames.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.ndimage import gaussian_filter1d

from ..clip import MotionClip
from ..evaluate import geometry
from ..motion import rotations
from ..motion.foot_contact import clean_feet
from ..skeleton import JOINT_INDEX

# Swaying of the hips between steps is no curve. Seconds, standard deviation.
SWAY_SECONDS = 0.35
_FEET = [JOINT_INDEX["left_foot"], JOINT_INDEX["right_foot"]]
_LEVEL = np.array([1.0, 0.0, 1.0])


def straightened(clip: MotionClip) -> MotionClip:
    """The same motion without the slow change of its heading, so that who goes on a curve goes straight.

    Each frame is turned back about the foot that the body stands on, so that it stays where it is; what it still twists by is
    cleaned with the rest of the feet.
    """
    width = SWAY_SECONDS * clip.fps
    margin = min(clip.num_frames - 1, round(4 * width))
    # Mirrored through its ends, so that a steady turn stays steady there.
    padded = np.pad(geometry.heading(clip), margin, mode="reflect", reflect_type="odd")
    slow = gaussian_filter1d(padded, width)[margin : margin + clip.num_frames]
    back = rotations.from_yaw(slow[0] - slow)  # [F, 4]

    pivot = _support(clip) * _LEVEL
    moved = rotations.rotate(back[:-1], pivot[1:]) - rotations.rotate(back[1:], pivot[1:])
    offset = np.concatenate([np.zeros((1, 3)), np.cumsum(moved, axis=0)])
    local = clip.local_rotations.copy()
    local[:, 0] = rotations.multiply(back, local[:, 0])
    root = rotations.rotate(back, clip.root_positions) + offset
    return clean_feet(replace(clip, root_positions=root, local_rotations=local))


def _support(clip: MotionClip) -> np.ndarray:
    """Where the body stands: the foot that moves less, going over from one to the other smoothly, [F, 3] metres."""
    feet = clip.joint_positions()[:, _FEET]
    speed = (
        np.linalg.norm(np.gradient(feet, axis=0), axis=-1) * clip.fps
        if clip.num_frames > 1
        else np.zeros(feet.shape[:2])
    )
    left = 1 / (1 + np.exp(np.clip((speed[:, 0] - speed[:, 1]) / 0.2, -30, 30)))[:, None]
    return left * feet[:, 0] + (1 - left) * feet[:, 1]
