"""The rest pose that SMPL-shaped data have: joints of the neutral body's T-pose, in round numbers. Light zone.

SMPL's rest pose is not quite ours: its spine is curved, its legs are spread and its toes point outward. Whoever
reads rotations or positions made on SMPL needs that difference. The numbers are the joint locations of the
neutral body with mean shape, rounded to 5 mm and made symmetric; an exact body model takes precedence where
the user has one (``kmm_core.formats.amass``).
"""

from __future__ import annotations

import numpy as np

from ..skeleton import JOINT_NAMES, PARENTS

_LEFT_AND_CENTRE = {
    "pelvis": (0.0, 0.0, 0.0),
    "left_hip": (0.055, -0.085, -0.015),
    "spine1": (0.0, 0.125, -0.035),
    "left_knee": (0.045, -0.395, 0.005),
    "spine2": (0.0, 0.14, 0.03),
    "left_ankle": (-0.015, -0.43, -0.035),
    "spine3": (0.0, 0.055, 0.0),
    "left_foot": (0.04, -0.06, 0.125),
    "neck": (0.0, 0.21, -0.03),
    "left_collar": (0.075, 0.115, -0.02),
    "head": (0.0, 0.09, 0.05),
    "left_shoulder": (0.115, 0.045, -0.01),
    "left_elbow": (0.26, -0.015, -0.025),
    "left_wrist": (0.265, 0.01, -0.005),
}


def _offset(name: str) -> tuple[float, float, float]:
    if name.startswith("right_"):
        x, y, z = _LEFT_AND_CENTRE["left_" + name[6:]]
        return (-x, y, z)
    return _LEFT_AND_CENTRE[name]


# Offset of each joint from its parent in SMPL's rest pose. [22, 3] metres.
SMPL_REST_OFFSETS = np.array([_offset(name) for name in JOINT_NAMES])
SMPL_REST_OFFSETS.flags.writeable = False


def joints_from_offsets(offsets: np.ndarray) -> np.ndarray:
    """Rest positions [22, 3] with the pelvis at ``offsets[0]``, from offsets [22, 3]; same unit."""
    joints = np.array(offsets, dtype=float)
    for joint, parent in enumerate(PARENTS):
        if parent >= 0:
            joints[joint] += joints[parent]
    return joints
