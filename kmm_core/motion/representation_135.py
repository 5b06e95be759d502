"""BABEL's motion features: 135 numbers a frame at 30 fps, as TEACH and FlowMDM compute them.

Athanasiou et al., "TEACH: Temporal Action Composition for 3D Humans", 3DV 2022; Barquero et al., "FlowMDM", CVPR 2024.
For BABEL's evaluator only: no model here is trained on it. Z is up, rotations are SMPL's. Light zone: no torch.

============= ======= =============================================================================================
slice         columns meaning
============= ======= =============================================================================================
ROOT_HEIGHT     0:1   the z part of the translation, metres (25 mm below the pelvis)
ROOT_VELOCITY   1:3   x, y step of the translation from the frame before, metres; 0 in the first frame
ROTATIONS       3:135 22 joints as 6-D: the first two ROWS of the matrix (the other representations take columns)
============= ======= =============================================================================================

Root and steps are turned so that the first frame's yaw is gone. What TEACH takes for that yaw is the z part of the
root's rotation vector, plus a quarter turn. For a body that is upright, which SMPL's root is at 90 degrees about x, this
is not the heading, so clips still start in somewhat different directions. That is kept: the evaluator knows it so.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..errors import KmmError
from ..skeleton import NUM_JOINTS
from . import rotations
from .feature_rows import checked_rows
from .rotations import Array
from .smpl_motion import SmplMotion

FPS = 30.0
ROOT_HEIGHT = slice(0, 1)
ROOT_VELOCITY = slice(1, 3)
ROTATIONS = slice(3, 135)
NUM_FEATURES = 135

_Z_AXIS = np.array([0.0, 0.0, 1.0])


def encode(motion: SmplMotion) -> Array:
    """BABEL's features.

    Args:
        motion: F frames at 30 fps.

    Returns:
        [F, 135] float32.

    Raises:
        KmmError: ``bad_motion`` for another frame rate, no frame, or numbers that are not finite.
    """
    finite = np.isfinite(motion.rotations).all() and np.isfinite(motion.translation).all()
    if motion.fps != FPS or not len(motion) or not finite:
        raise KmmError(
            "bad_motion",
            f"Got {len(motion)} frames at {motion.fps:g} a second{'' if finite else ' with NaN or infinity'}; "
            f"BABEL's features take at least one, at {FPS:g} a second.",
            "Resample the motion first.",
        )
    yaw = rotations.to_rotation_vector(motion.rotations[0, 0])[2] + np.pi / 2
    turn = rotations.from_axis_angle(_Z_AXIS, -yaw)
    local = motion.rotations.copy()
    local[:, 0] = rotations.multiply(turn, local[:, 0])
    steps = np.diff(motion.translation, axis=0, prepend=motion.translation[:1])

    features = np.empty((len(motion), NUM_FEATURES), dtype=np.float32)
    features[:, ROOT_HEIGHT] = motion.translation[:, 2:]
    features[:, ROOT_VELOCITY] = rotations.rotate(turn, steps)[:, :2]
    # The rows of a rotation are the columns of its inverse.
    features[:, ROTATIONS] = rotations.to_6d(rotations.conjugate(local)).reshape(len(motion), -1)
    return features


def decode(features: ArrayLike) -> SmplMotion:
    """The motion that the features stand for, starting at x = y = 0.

    Args:
        features: [F, 135]. Rotations need not be exact: two rows are made orthonormal.

    Raises:
        KmmError: ``bad_features`` where the shape is wrong or a number is not finite.
    """
    features = checked_rows(features, NUM_FEATURES, "Only BABEL's features have this layout.").astype(float)
    translation = np.zeros((len(features), 3))
    translation[1:, :2] = np.cumsum(features[1:, ROOT_VELOCITY], axis=0)
    translation[:, 2:] = features[:, ROOT_HEIGHT]
    rows = features[:, ROTATIONS].reshape(len(features), NUM_JOINTS, 6)
    return SmplMotion(rotations.conjugate(rotations.from_6d(rows)), translation, FPS)


def recover_positions(features: ArrayLike) -> Array:
    """Joint positions of SMPL's mean shape, [F, 22, 3] m, Y up.

    Args:
        features: [F, 135].

    Raises:
        KmmError: ``bad_features`` as ``decode``.
    """
    return decode(features).joint_positions()
