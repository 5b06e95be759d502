"""The rest pose of SMPL-shaped data, and what it looks like on the canonical skeleton. Light zone: no torch.

SMPL's rest pose is not quite ours: its spine is curved, its legs are spread, its toes point outward. That difference
is needed to read rotations or positions made on SMPL. The numbers are the joint locations of the
neutral body with mean shape, rounded to 5 mm and made symmetric; an exact body model takes precedence where
the user has one (``kmm_core.formats.amass``).
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from ..skeleton import JOINT_INDEX, JOINT_NAMES, NUM_JOINTS, REST_OFFSETS
from . import rotations
from .rotations import Array

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

# The pelvis joint of SMPL and SMPL-H, mean shape, in the model's own axes. [3] metres.
SMPL_REST_PELVIS = np.array([0.0, -0.24, 0.025])
SMPL_REST_PELVIS.flags.writeable = False

# The limb joints whose bone is turned from our rest direction to the source's; the next joint ends the bone.
_LIMB_BONES = tuple(
    (JOINT_INDEX[f"{side}_{start}"], JOINT_INDEX[f"{side}_{end}"])
    for side in ("left", "right")
    for chain in (("hip", "knee", "ankle", "foot"), ("shoulder", "elbow", "wrist"))
    for start, end in pairwise(chain)
)


def rest_pose(offsets: Array) -> Array:
    """World rotations [22, 4] that pose the canonical skeleton like a T-pose with the given offsets [22, 3].

    Limb bones take the source's directions. Pelvis, spine, collars and head stay as they are: how a skeleton
    draws its spine says nothing about how the person stands.
    """
    world = np.tile(rotations.IDENTITY, (NUM_JOINTS, 1))
    for start, end in _LIMB_BONES:
        if JOINT_NAMES[start].endswith("ankle"):
            # The sole stays level: turn out, then pitch.
            world[start] = rotations.multiply(
                _level_frame(offsets[end]), rotations.conjugate(_level_frame(REST_OFFSETS[end]))
            )
        else:
            world[start] = rotations.between(REST_OFFSETS[end], offsets[end])
        world[end] = world[start]
    return world


def _level_frame(direction: Array) -> Array:
    x = rotations.normalize(np.cross(rotations.Y_AXIS, direction))
    z = rotations.normalize(direction)
    return rotations.from_matrix(np.stack([x, np.cross(z, x), z], axis=-1))
