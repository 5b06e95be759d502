"""Rotations as the channels of Blender's rotation modes, free of jumps from frame to frame. No bpy.

A mode is what ``pose_bone.rotation_mode`` says: QUATERNION, AXIS_ANGLE, or an Euler order such as XYZ, in which the X
turn comes first. The same rotation has several channel values in each mode; the one nearest to the frame before it is taken.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kmm_core.motion import rotations
from kmm_core.motion.rotations import Array

# The property that holds each mode's channels; every other mode is an Euler order.
_PROPERTIES = {"QUATERNION": "rotation_quaternion", "AXIS_ANGLE": "rotation_axis_angle"}


def property_name(mode: str) -> str:
    """Name of the property with the channels of a mode."""
    return _PROPERTIES.get(mode, "rotation_euler")


def to_channels(quaternions: Array, mode: str) -> Array:
    """Rotations [F, 4] wxyz as continuous channels: wxyz, angle and axis, or X, Y, Z angles. [F, 4 or 3]."""
    if mode == "QUATERNION":
        return _upright(quaternions)
    if mode == "AXIS_ANGLE":
        return _to_axis_angle(quaternions)
    return _to_euler(quaternions, mode)


def from_channels(channels: Array, mode: str) -> Array:
    """The rotations [..., 4] wxyz that Blender makes of channel values."""
    if mode == "QUATERNION":
        return rotations.normalize(channels)
    if mode == "AXIS_ANGLE":
        return rotations.from_axis_angle(rotations.normalize(channels[..., 1:]), channels[..., 0])
    order = mode[::-1]
    return rotations.from_euler(channels[..., ["XYZ".index(letter) for letter in order]], order)


def angle_off(mode: str):
    """How far apart rotations are whose channels are given: a function of two arrays [N, C] to radians [N]."""

    def distance(a: Array, b: Array) -> Array:
        a, b = from_channels(a, mode), from_channels(b, mode)
        # The angle from the chord between unit quaternions: exact for small angles, unlike an arccosine.
        chord = np.minimum(np.linalg.norm(a - b, axis=-1), np.linalg.norm(a + b, axis=-1))
        return 4 * np.arcsin(np.clip(chord / 2, 0, 1))

    return distance


def _upright(quaternions: Array) -> Array:
    """Signs without flips that start with w >= 0, as Blender's rest pose has it."""
    continuous = rotations.make_continuous(quaternions)
    return -continuous if continuous[0, 0] < 0 else continuous


def _alternating(flips: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which of two equal forms each frame takes, where ``flips`` [F - 1] says that it differs from the frame before."""
    return np.concatenate([[False], np.cumsum(flips) % 2 == 1])


def _to_axis_angle(quaternions: Array) -> Array:
    q = _upright(quaternions)
    sine = np.linalg.norm(q[:, 1:], axis=-1)
    turned = sine > 1e-6
    if not turned.any():
        return np.tile([0.0, 0.0, 1.0, 0.0], (len(q), 1))
    # Where nothing turns the axis is any: that of the nearest earlier frame that turns.
    source = np.maximum.accumulate(np.where(turned, np.arange(len(q)), np.argmax(turned)))
    axis = q[source, 1:] / sine[source, None]
    angle = 2 * np.arctan2(sine, q[:, 0])
    # An angle about an axis is minus that angle about the opposite axis.
    other = _alternating(np.sum(axis[1:] * axis[:-1], axis=-1) < 0)
    sign = np.where(other, -1.0, 1.0)
    return np.concatenate([np.unwrap(sign * angle)[:, None], sign[:, None] * axis], axis=-1)


def _to_euler(quaternions: Array, mode: str) -> Array:
    order = mode[::-1]
    angles = rotations.to_euler(quaternions, order)
    # The same rotation the other way round: half a turn more in the outer axes, the middle one reflected.
    mirrored = np.pi + angles * np.array([1.0, -1.0, 1.0])
    flips = _turns_apart(angles[1:], mirrored[:-1]) < _turns_apart(angles[1:], angles[:-1])
    angles = np.where(_alternating(flips)[:, None], mirrored, angles)
    continuous = np.unwrap(angles, axis=0)
    return continuous[:, [order.index(letter) for letter in "XYZ"]]


def _turns_apart(a: Array, b: Array) -> Array:
    """Sum over the channels of how far angles are apart on the circle."""
    return np.abs(np.mod(a - b + np.pi, 2 * np.pi) - np.pi).sum(axis=-1)
