"""HumanML3D's motion features: 263 numbers a frame at 20 fps, column by column as HumanML3D computes them.

Guo et al., "Generating Diverse and Natural 3D Human Motions from Text", CVPR 2022, and the code released with
the data set. Here for its files and its evaluator; the default is ``representation_272``, which also keeps
the pelvis tilt and every bone's twist. Light zone: no torch.

============= ======= =====================================================================================
slice         columns meaning
============= ======= =====================================================================================
ROOT_YAW        0:1   arcsin of the y part of the root quaternion from here to the next frame: half the turn
ROOT_VELOCITY   1:3   the root's step along x and z to the next frame, in that frame's facing frame, metres
ROOT_HEIGHT     3:4   metres over the lowest joint of the clip
POSITIONS       4:67  joints 1 to 21, x and z relative to the root, facing frame, metres
ROTATIONS      67:193 joints 1 to 21 as 6-D, the shortest turns along the chains (no twist)
VELOCITIES    193:259 22 joints: the step to the next frame in this frame's facing frame, metres
CONTACTS      259:263 left ankle, left foot, right ankle, right foot: 1 where the squared step is below 0.002
============= ======= =====================================================================================

A row needs the next frame, so F frames give F - 1 rows. The data set was made, and its evaluator trained,
with three habits that are kept here, because files only mix if they are: the facing direction of the rows
takes the hip line from right to left but the shoulder line from left to right (the first-frame normalisation
takes both alike); it is smoothed over about 2 seconds; and the arm chains start from the root's rotation, not
from the chest's.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..clip import MotionClip
from ..errors import KmmError
from ..skeleton import JOINT_INDEX, MIRROR, NUM_JOINTS, PARENTS
from . import rotations
from .feature_rows import checked_rows
from .rotations import Array

FPS = 20.0
ROOT_YAW = slice(0, 1)
ROOT_VELOCITY = slice(1, 3)
ROOT_HEIGHT = slice(3, 4)
POSITIONS = slice(4, 67)
ROTATIONS = slice(67, 193)
VELOCITIES = slice(193, 259)
CONTACTS = slice(259, 263)
NUM_FEATURES = 263
_OTHER_ROWS = "The 272-wide rows are read by representation_272."

CONTACT_JOINTS = tuple(JOINT_INDEX[name] for name in ("left_ankle", "left_foot", "right_ankle", "right_foot"))
# Squared metres a frame at 20 fps.
CONTACT_THRESHOLD = 0.002

# HumanML3D's own rest pose: the direction of each bone, arms hanging, head in front of the neck. [22, 3]
_X, _Y, _Z = np.eye(3)
_BONE_DIRECTIONS = np.array(
    [0 * _X, _X, -_X, _Y, -_Y, -_Y, _Y, -_Y, -_Y, _Y, _Z, _Z, _Y, _X, -_X, _Z, -_Y, -_Y, -_Y, -_Y, -_Y, -_Y]
)
# The first joint of every chain after the one it hangs on; their rotations count from the root's.
_CHAIN_STARTS = (1, 2, 3, 13, 14)
_LEFT_HIP, _RIGHT_HIP, _LEFT_SHOULDER, _RIGHT_SHOULDER = (
    JOINT_INDEX[name] for name in ("left_hip", "right_hip", "left_shoulder", "right_shoulder")
)
_SMOOTHING_FRAMES = 20


def bone_lengths(pose: ArrayLike) -> Array:
    """Length of the bone that ends in each joint, 0 for the pelvis: what ``encode_positions`` rescales to.

    Args:
        pose: joint positions of one frame, [22, 3] metres. HumanML3D's is the first frame of its clip 000021.

    Returns:
        [22] metres.
    """
    pose = np.asarray(pose, dtype=float)
    return np.linalg.norm(pose - pose[[max(parent, 0) for parent in PARENTS]], axis=-1)


def encode_positions(positions: ArrayLike, *, target_lengths: ArrayLike | None = None) -> Array:
    """HumanML3D's features from joint positions, normalised as it does: floor, origin, first frame facing +Z.

    Args:
        positions: [F, 22, 3] metres at 20 fps, Y up, of any skeleton.
        target_lengths: bone lengths to bring the skeleton to first ([22] metres, see ``bone_lengths``; the
            data set does this for every clip); None keeps the skeleton.

    Returns:
        [F - 1, 263] float32.

    Raises:
        KmmError: ``bad_positions`` where the shape is wrong, a number is not finite or F is below 2.
    """
    positions = _checked_positions(positions)
    if target_lengths is not None:
        positions = _with_bone_lengths(positions, np.asarray(target_lengths, dtype=float))
    positions = _normalized(positions)

    to_facing = rotations.between(_forward(positions), _Z)
    steps = np.diff(positions, axis=0)
    root_turn = rotations.multiply(to_facing[1:], rotations.conjugate(to_facing[:-1]))
    # HumanML3D gives ROOT_YAW the wrong sign in the one frame in which a person turns past -Z, so that recovered motion
    # faces slightly wrong from there on. Not repeated here (ours).
    root_turn = np.where(root_turn[:, :1] < 0, -root_turn, root_turn)
    relative = positions - positions[:, :1] * (_X + _Z)
    local = rotations.rotate(to_facing[:, None], relative)
    feet = np.sum(steps[:, list(CONTACT_JOINTS)] ** 2, axis=-1)

    rows = len(steps)
    features = np.empty((rows, NUM_FEATURES), dtype=np.float32)
    features[:, ROOT_YAW] = np.arcsin(np.clip(root_turn[:, 2:3], -1, 1))
    features[:, ROOT_VELOCITY] = rotations.rotate(to_facing[1:], steps[:, 0])[:, [0, 2]]
    features[:, ROOT_HEIGHT] = positions[:-1, 0, 1:2]
    features[:, POSITIONS] = local[:-1, 1:].reshape(rows, -1)
    features[:, ROTATIONS] = rotations.to_6d(_chain_rotations(positions, to_facing)[:-1, 1:]).reshape(
        rows, -1
    )
    features[:, VELOCITIES] = rotations.rotate(to_facing[:-1, None], steps).reshape(rows, -1)
    features[:, CONTACTS] = feet < CONTACT_THRESHOLD
    return features


def encode(clip: MotionClip, *, target_lengths: ArrayLike | None = None) -> Array:
    """HumanML3D's features of a clip of any rate, resampled to 20 fps.

    Args:
        clip: at least 2 frames long at 20 fps.
        target_lengths: as ``encode_positions``.

    Returns:
        [F - 1, 263] float32, F counted at 20 fps.

    Raises:
        KmmError: ``bad_positions`` where the clip is too short.
    """
    return encode_positions(clip.resample(FPS).joint_positions(), target_lengths=target_lengths)


def recover_positions(features: ArrayLike) -> Array:
    """Joint positions from features: the root integrated, others from POSITIONS (their recover_from_ric).

    Args:
        features: [F, 263].

    Returns:
        [F, 22, 3] metres, starting at x = z = 0.

    Raises:
        KmmError: ``bad_features`` where the shape is wrong or a number is not finite.
    """
    features = checked_rows(features, NUM_FEATURES, _OTHER_ROWS)
    # Rows look forward: frame f is reached by the turns and steps of the rows before it.
    half_turn = np.zeros(len(features))
    half_turn[1:] = np.cumsum(features[:-1, ROOT_YAW].astype(float)[:, 0])
    from_facing = rotations.from_yaw(-2 * half_turn)
    steps = np.zeros((len(features), 3))
    steps[1:, [0, 2]] = features[:-1, ROOT_VELOCITY]
    root = np.cumsum(rotations.rotate(from_facing, steps), axis=0)

    positions = np.zeros((len(features), NUM_JOINTS, 3))
    local = features[:, POSITIONS].astype(float).reshape(len(features), NUM_JOINTS - 1, 3)
    positions[:, 1:] = rotations.rotate(from_facing[:, None], local)
    positions += root[:, None]
    positions[:, 0, 1] = features[:, ROOT_HEIGHT][:, 0]
    return positions


def decode(features: ArrayLike, fps: float = FPS) -> MotionClip:
    """A clip whose joints lie where the features put them; twist, which they don't hold, looks natural.

    Args:
        features: [F, 263].
        fps: frames a second of the rows.

    Raises:
        KmmError: ``bad_features`` as ``recover_positions``.
    """
    from .inverse_kinematics import clip_from_positions

    return clip_from_positions(recover_positions(features), fps)


def mirror(features: ArrayLike) -> Array:
    """Features of the motion with left and right swapped.

    Args:
        features: [F, 263].

    Raises:
        KmmError: ``bad_features`` as ``recover_positions``.
    """
    features = checked_rows(features, NUM_FEATURES, _OTHER_ROWS)
    result = features.copy()
    result[:, ROOT_YAW] *= -1
    result[:, ROOT_VELOCITY.start] *= -1
    vector, six = np.array([-1, 1, 1]), np.array([1, -1, -1, -1, 1, 1])
    for columns, signs, skipped in ((POSITIONS, vector, 1), (ROTATIONS, six, 1), (VELOCITIES, vector, 0)):
        joints = features[:, columns].reshape(len(features), NUM_JOINTS - skipped, -1)
        order = np.array(MIRROR[skipped:]) - skipped
        result[:, columns] = (joints[:, order] * signs).reshape(len(features), -1)
    result[:, CONTACTS] = np.roll(features[:, CONTACTS], 2, axis=1)
    return result


def _forward(positions: Array) -> Array:
    """Facing direction of every frame as the rows use it, [F, 3]: level, smoothed, not of unit length."""
    # The hip line runs the other way than the shoulder line: HumanML3D's habit, see the top of this file.
    hips = positions[:, _LEFT_HIP] - positions[:, _RIGHT_HIP]
    across = rotations.normalize(hips + positions[:, _RIGHT_SHOULDER] - positions[:, _LEFT_SHOULDER])
    radius = 4 * _SMOOTHING_FRAMES
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / _SMOOTHING_FRAMES) ** 2)
    padded = np.pad(np.cross(_Y, across), ((radius, radius), (0, 0)), mode="edge")
    smooth = [np.convolve(padded[:, axis], kernel / kernel.sum(), mode="valid") for axis in range(3)]
    return np.stack(smooth, axis=-1)


def _chain_rotations(positions: Array, to_facing: Array) -> Array:
    """Each bone's shortest turn from its rest direction, against the bone before it. [F, 22, 4] wxyz"""
    bones = positions - positions[:, [max(parent, 0) for parent in PARENTS]]
    world = rotations.between(_BONE_DIRECTIONS, bones)
    before = world[:, [max(parent, 0) for parent in PARENTS]]
    before[:, _CHAIN_STARTS] = to_facing[:, None]
    return rotations.multiply(rotations.conjugate(before), world)


def _normalized(positions: Array) -> Array:
    """Lowest joint of the clip at height 0, first root at x = z = 0, first frame facing +Z."""
    floor = positions[..., 1].min()
    positions = positions - positions[0, 0] * (_X + _Z) - floor * _Y
    first = positions[0]
    across = first[_RIGHT_HIP] - first[_LEFT_HIP] + first[_RIGHT_SHOULDER] - first[_LEFT_SHOULDER]
    return rotations.rotate(rotations.between(np.cross(_Y, across), _Z), positions)


def _with_bone_lengths(positions: Array, target: Array) -> Array:
    """The same bone directions with other lengths; the root's path is scaled by the length of the legs."""
    if target.shape != (NUM_JOINTS,) or not np.isfinite(target).all():
        raise KmmError(
            "bad_positions",
            f"target_lengths has shape {target.shape} or holds numbers that are not finite; expected "
            f"[{NUM_JOINTS}] bone lengths in metres.",
            "Make them with bone_lengths from the first frame of a clip.",
        )
    leg = [JOINT_INDEX["right_knee"], JOINT_INDEX["right_ankle"]]
    source_leg = bone_lengths(positions[0])[leg].sum()
    if source_leg == 0:
        raise KmmError(
            "bad_positions",
            "The right leg has length 0 in the first frame; a skeleton is rescaled by the length of its leg.",
            "Cut the clip so that it starts with a valid pose.",
        )
    result = np.empty_like(positions)
    result[:, 0] = positions[:, 0] * (target[leg].sum() / source_leg)
    for joint, parent in enumerate(PARENTS[1:], start=1):
        direction = rotations.normalize(positions[:, joint] - positions[:, parent])
        result[:, joint] = result[:, parent] + target[joint] * direction
    return result


def _checked_positions(positions: ArrayLike) -> Array:
    positions = np.asarray(positions, dtype=float)
    if positions.ndim != 3 or positions.shape[1:] != (NUM_JOINTS, 3) or len(positions) < 2:
        raise KmmError(
            "bad_positions",
            f"Got joint positions of shape {positions.shape}; expected [F, {NUM_JOINTS}, 3], F at least 2.",
            "One frame is lost to the velocities; give more frames at 20 fps.",
        )
    if not np.isfinite(positions).all():
        raise KmmError(
            "bad_positions",
            "The joint positions hold numbers that are not finite (NaN or infinity).",
            "Repair or drop those frames.",
        )
    return positions
