"""Where a clip stands: feet on the floor, first frame at the origin facing +Z. Light zone: no torch."""

from __future__ import annotations

import numpy as np

from ..clip import MotionClip
from ..skeleton import JOINT_INDEX, REST_OFFSETS, SOLE_THICKNESS
from . import rotations
from .rotations import Array

# Share of frames whose lowest foot may lie under the floor: noise and single bad frames do not lift the clip.
FLOOR_PERCENTILE = 5.0
_FEET = [JOINT_INDEX[name] for name in ("left_foot", "right_foot")]
_ANKLES = [JOINT_INDEX[name] for name in ("left_ankle", "right_ankle")]
# Height of the ankle over the sole of a flat foot, metres.
_ANKLE_HEIGHT = SOLE_THICKNESS - REST_OFFSETS[_FEET[0], 1]


def sole_heights(clip: MotionClip) -> Array:
    """Height of the lower end (heel or ball) of each foot's sole over y = 0, [F, 2] metres: left, right."""
    heights = clip.joint_positions()[..., 1]
    return np.minimum(heights[:, _FEET] - SOLE_THICKNESS, heights[:, _ANKLES] - _ANKLE_HEIGHT)


def put_on_floor(clip: MotionClip) -> MotionClip:
    """The clip moved up or down so that the lower foot's sole stands at height zero.

    One shift for the whole clip: jumps stay in the air and a sitting person stays at the height of the seat.
    """
    lowest = sole_heights(clip).min(axis=1)
    return clip.moved(translation=(0.0, -float(np.percentile(lowest, FLOOR_PERCENTILE)), 0.0))


def facing(clip: MotionClip) -> Array:
    """Heading of hips and shoulders in every frame: radians about +Y that turn +Z toward +X. [F]."""
    positions = clip.joint_positions()
    hips, shoulders = (
        rotations.normalize(
            positions[:, JOINT_INDEX["left_" + name]] - positions[:, JOINT_INDEX["right_" + name]]
        )
        for name in ("hip", "shoulder")
    )
    left = hips + shoulders
    # forward = left x up: (x, _, z) becomes (-z, _, x).
    return np.arctan2(-left[:, 2], left[:, 0])


def face_forward(clip: MotionClip) -> MotionClip:
    """The clip turned and moved so that its first frame faces +Z with the pelvis over x = z = 0."""
    turned = clip.moved(yaw=-float(facing(clip.slice(0, 1))[0]))
    x, _, z = turned.root_positions[0]
    return turned.moved(translation=(-x, 0.0, -z))
