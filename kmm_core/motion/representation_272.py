"""The default motion features: 272 numbers a frame at 30 fps, holding joint rotations. Light zone: no torch.

One row holds (the layout is published, the conventions below are ours):

============== ======= ====================================================================================
slice          columns meaning
============== ======= ====================================================================================
ROOT_VELOCITY   0:2    the pelvis's displacement along x and z since the row before, metres a frame
HEADING_CHANGE  2:8    the heading's turn since the row before, about +Y, as 6-D
POSITIONS       8:74   22 joints, metres, from the floor under the pelvis: the pelvis is (0, height, 0)
VELOCITIES     74:140  22 joints: world displacement since the row before, metres a frame
ROTATIONS     140:272  22 local rotations as 6-D (two matrix columns); the pelvis's without the heading
============== ======= ====================================================================================

Vectors stand in the row's own heading frame: Y up, +Z where the person of that row faces. There are as many
rows as frames. The first row has no row before it, so its displacements are zero and its turn is the
identity; ``decode`` therefore ignores ROOT_VELOCITY and HEADING_CHANGE of row 0 and starts at x = z = 0
with heading +Z. A window cut out of longer features decodes without any repair.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..clip import MotionClip
from ..skeleton import MIRROR, NUM_JOINTS
from . import rotations
from .feature_rows import checked_rows
from .rotations import Array

FPS = 30.0
ROOT_VELOCITY = slice(0, 2)
HEADING_CHANGE = slice(2, 8)
POSITIONS = slice(8, 74)
VELOCITIES = slice(74, 140)
ROTATIONS = slice(140, 272)
NUM_FEATURES = 272
# Columns that speak of change since the row before.
MOTION_COLUMNS = np.r_[ROOT_VELOCITY, HEADING_CHANGE, VELOCITIES]
_OTHER_ROWS = "HumanML3D's 263-wide rows are read by representation_263."

# Past this tilt of the pelvis (upside down) its swing-twist yaw is no measure of heading. Radians.
_MAX_TILT = np.deg2rad(120.0)
# A reflection in x turns the x part of vectors around; of a rotation matrix every entry with one x index.
_MIRROR_VECTOR = np.array([-1.0, 1.0, 1.0])
_MIRROR_6D = np.array([1.0, -1.0, -1.0, -1.0, 1.0, 1.0])


def headings(pelvis_rotations: ArrayLike) -> Array:
    """Which way a person faces, frame by frame, without jumps.

    The heading is the swing-twist yaw of the pelvis. Bending over or lying down leaves it well defined (lying
    on the back it is where the person faced before); only near a tilt of 180 degrees it spins. So it is
    measured up to a tilt of 120 degrees and interpolated the short way round across the frames upside down.

    Args:
        pelvis_rotations: against the world, [F, 4] wxyz.

    Returns:
        [F] radians, unwrapped; 0 faces +Z, positive turns toward +X.
    """
    q = np.asarray(pelvis_rotations, dtype=float)
    yaw = rotations.yaw(q)
    # cos(tilt / 2) is the length of the twist part.
    upright = np.flatnonzero(np.hypot(q[:, 0], q[:, 2]) >= np.cos(_MAX_TILT / 2))
    if len(upright) == 0:
        return np.full(len(q), yaw[0])
    return np.interp(np.arange(len(q)), upright, np.unwrap(yaw[upright]))


def encode(clip: MotionClip) -> Array:
    """The features of a clip; where it starts and which way it faces at first is lost, nothing else.

    Args:
        clip: of any rate, though models expect ``FPS``: resample first.

    Returns:
        [F, 272] float32.
    """
    heading = headings(clip.local_rotations[:, 0])
    to_heading = rotations.from_yaw(-heading)
    world = clip.joint_positions()
    steps = np.diff(world, axis=0, prepend=world[:1])
    origin = world[:, :1] * np.array([1.0, 0.0, 1.0])
    velocities = rotations.rotate(to_heading[:, None], steps)
    local = clip.local_rotations.astype(float)
    local[:, 0] = rotations.multiply(to_heading, local[:, 0])

    features = np.empty((clip.num_frames, NUM_FEATURES), dtype=np.float32)
    features[:, ROOT_VELOCITY] = velocities[:, 0, [0, 2]]
    features[:, HEADING_CHANGE] = rotations.to_6d(rotations.from_yaw(np.diff(heading, prepend=heading[:1])))
    features[:, POSITIONS] = rotations.rotate(to_heading[:, None], world - origin).reshape(len(world), -1)
    features[:, VELOCITIES] = velocities.reshape(len(world), -1)
    features[:, ROTATIONS] = rotations.to_6d(local).reshape(len(world), -1)
    return features


def decode(features: ArrayLike, fps: float = FPS) -> MotionClip:
    """The clip that features describe, starting at x = z = 0 with heading +Z.

    Reads ROOT_VELOCITY, HEADING_CHANGE, the pelvis height and ROTATIONS; positions and velocities of the
    other joints repeat what the rotations say. Rotations need not be orthonormal (a network's are not).

    Args:
        features: [F, 272].
        fps: frames a second of the rows.

    Raises:
        KmmError: ``bad_features`` where the shape is wrong or a number is not finite.
    """
    features = checked_rows(features, NUM_FEATURES, _OTHER_ROWS)
    # Integrated in float64: ten minutes of float32 sums would drift.
    turn = features[:, HEADING_CHANGE].astype(float)
    # The first matrix column of a turn by a about +Y is (cos a, 0, -sin a).
    turn = np.arctan2(-turn[:, 2], turn[:, 0])
    turn[0] = 0.0
    heading = rotations.from_yaw(np.cumsum(turn))

    steps = np.zeros((len(features), 3))
    steps[1:, [0, 2]] = features[1:, ROOT_VELOCITY]
    root = np.cumsum(rotations.rotate(heading, steps), axis=0)
    root[:, 1] = features[:, POSITIONS][:, 1]

    local = rotations.from_6d(features[:, ROTATIONS].astype(float).reshape(len(features), NUM_JOINTS, 6))
    local[:, 0] = rotations.multiply(heading, local[:, 0])
    return MotionClip(root_positions=root, local_rotations=local, fps=fps)


def mirror(features: ArrayLike) -> Array:
    """Features of the motion with left and right swapped: ``encode(clip.mirrored())`` from ``encode(clip)``.

    Args:
        features: [F, 272].

    Raises:
        KmmError: ``bad_features`` as ``decode``.
    """
    features = checked_rows(features, NUM_FEATURES, _OTHER_ROWS)
    result = features.copy()
    result[:, ROOT_VELOCITY] *= _MIRROR_VECTOR[[0, 2]].astype(features.dtype)
    result[:, HEADING_CHANGE] *= _MIRROR_6D.astype(features.dtype)
    for columns, signs in (
        (POSITIONS, _MIRROR_VECTOR),
        (VELOCITIES, _MIRROR_VECTOR),
        (ROTATIONS, _MIRROR_6D),
    ):
        joints = features[:, columns].reshape(len(features), NUM_JOINTS, -1)
        result[:, columns] = (joints[:, list(MIRROR)] * signs).reshape(len(features), -1)
    return result
