"""Forward kinematics on the canonical skeleton, in NumPy. Light zone: no torch."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..skeleton import NUM_JOINTS, PARENTS, REST_OFFSETS
from . import rotations
from .rotations import Array


def global_rotations(local_rotations: ArrayLike) -> Array:
    """Rotation of every joint against the world. ``[..., 22, 4]`` wxyz in, the same shape out."""
    local_rotations = np.asarray(local_rotations)
    result = np.empty_like(local_rotations)
    for joint, parent in enumerate(PARENTS):
        if parent < 0:
            result[..., joint, :] = local_rotations[..., joint, :]
        else:
            result[..., joint, :] = rotations.multiply(result[..., parent, :], local_rotations[..., joint, :])
    return result


def local_rotations(world_rotations: ArrayLike) -> Array:
    """Rotation of every joint against its parent; the inverse of ``global_rotations``. ``[..., 22, 4]``."""
    world_rotations = np.asarray(world_rotations)
    result = world_rotations.copy()
    for joint, parent in enumerate(PARENTS):
        if parent >= 0:
            result[..., joint, :] = rotations.multiply(
                rotations.conjugate(world_rotations[..., parent, :]), world_rotations[..., joint, :]
            )
    return result


def joint_positions(
    root_positions: ArrayLike, local_rotations: ArrayLike, offsets: ArrayLike = REST_OFFSETS
) -> Array:
    """World positions of the joints. Shapes: [..., 3] m, [..., 22, 4] wxyz, offsets [22, 3] m -> [..., 22, 3] m."""
    root_positions, offsets = np.asarray(root_positions), np.asarray(offsets)
    world = global_rotations(local_rotations)
    result = np.empty((*root_positions.shape[:-1], NUM_JOINTS, 3), dtype=world.dtype)
    for joint, parent in enumerate(PARENTS):
        if parent < 0:
            result[..., joint, :] = root_positions
        else:
            bone = rotations.rotate(world[..., parent, :], offsets[joint])
            result[..., joint, :] = result[..., parent, :] + bone
    return result


def lever_arms() -> Array:
    """How far the joints of the resting body move for each radian that one joint turns: their root mean square, [22] m."""
    rest = joint_positions(np.zeros(3), np.tile([1.0, 0.0, 0.0, 0.0], (NUM_JOINTS, 1)))
    moved = np.zeros((NUM_JOINTS, NUM_JOINTS))
    for joint in range(NUM_JOINTS):
        above = joint
        while above >= 0:
            moved[above, joint] = np.linalg.norm(rest[joint] - rest[above])
            above = PARENTS[above]
    return np.sqrt(np.mean(moved**2, axis=1))
