"""The canonical skeleton: 22 joints in SMPL's order, Y up, facing +Z, T-pose at rest. Defined once, here.

Joint names and order follow SMPL and HumanML3D, so their files line up with ours. The rest offsets are ours:
a symmetric adult of 1.70 m with straight legs and level arms, so that a joint rotation of zero means T-pose.
"""

from __future__ import annotations

import numpy as np

JOINT_NAMES = (
    "pelvis",
    "left_hip",
    "right_hip",
    "spine1",
    "left_knee",
    "right_knee",
    "spine2",
    "left_ankle",
    "right_ankle",
    "spine3",
    "left_foot",
    "right_foot",
    "neck",
    "left_collar",
    "right_collar",
    "head",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
)
NUM_JOINTS = len(JOINT_NAMES)
JOINT_INDEX = {name: index for index, name in enumerate(JOINT_NAMES)}
# From the collar to the wrist.
ARM_JOINTS = {
    side: [JOINT_INDEX[f"{side}_{part}"] for part in ("collar", "shoulder", "elbow", "wrist")]
    for side in ("left", "right")
}

# Parent of each joint; every parent comes before its children.
PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19)

_LEFT_AND_CENTRE = {
    "pelvis": (0.0, 0.0, 0.0),
    "left_hip": (0.09, -0.08, 0.0),
    "spine1": (0.0, 0.11, 0.0),
    "left_knee": (0.0, -0.40, 0.0),
    "spine2": (0.0, 0.13, 0.0),
    "left_ankle": (0.0, -0.41, 0.0),
    "spine3": (0.0, 0.06, 0.0),
    "left_foot": (0.0, -0.065, 0.13),
    "neck": (0.0, 0.21, 0.0),
    "left_collar": (0.08, 0.12, 0.0),
    "head": (0.0, 0.10, 0.02),
    "left_shoulder": (0.10, 0.03, 0.0),
    "left_elbow": (0.26, 0.0, 0.0),
    "left_wrist": (0.25, 0.0, 0.0),
}


def _rest_offset(name: str) -> tuple[float, float, float]:
    if name.startswith("right_"):
        x, y, z = _LEFT_AND_CENTRE["left_" + name[6:]]
        return (-x, y, z)
    return _LEFT_AND_CENTRE[name]


# Offset of each joint from its parent in the rest pose. [22, 3] metres.
REST_OFFSETS = np.array([_rest_offset(name) for name in JOINT_NAMES])
REST_OFFSETS.flags.writeable = False

# Height of the foot joint (ball of the foot) over the sole. Metres.
SOLE_THICKNESS = 0.02
# Height of the pelvis over the floor when standing at rest. Metres.
REST_PELVIS_HEIGHT = 0.08 + 0.40 + 0.41 + 0.065 + SOLE_THICKNESS

# MIRROR[j] is the joint on the other side of the body (itself on the centre line).
MIRROR = tuple(
    JOINT_INDEX[
        name.replace("left_", "right_") if name.startswith("left_") else name.replace("right_", "left_")
    ]
    for name in JOINT_NAMES
)
