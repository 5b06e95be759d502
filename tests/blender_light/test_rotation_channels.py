"""Rotations as channels of Blender's rotation modes. That Blender reads them so is tested in tests/blender."""

import itertools

import numpy as np
import pytest

from kmm_blender.scene import rotation_channels
from kmm_core.motion import rotations

EULER_ORDERS = ["".join(order) for order in itertools.permutations("XYZ")]
MODES = ["QUATERNION", "AXIS_ANGLE", *EULER_ORDERS]


def turning(frames: int = 400, seed: int = 0) -> np.ndarray:
    """A bone that tumbles more than once around every axis, 5 degrees a frame, with signs that flip at random."""
    generator = np.random.default_rng(seed)
    axes = np.cumsum(generator.normal(size=(frames, 3)) * 0.1, axis=0) + [1.0, 0.5, -0.3]
    steps = rotations.from_axis_angle(rotations.normalize(axes), np.radians(5))
    turns = [steps[0]]
    for step in steps[1:]:
        turns.append(rotations.multiply(step, turns[-1]))
    return np.array(turns) * generator.choice([-1.0, 1.0], frames)[:, None]


@pytest.mark.parametrize("mode", MODES)
def test_channels_mean_the_same_rotations(mode):
    turns = turning()
    back = rotation_channels.from_channels(rotation_channels.to_channels(turns, mode), mode)
    assert rotations.angle_between(back, turns).max() < 1e-6


def test_quaternions_never_flip_and_start_upright():
    channels = rotation_channels.to_channels(turning(), "QUATERNION")
    assert np.abs(np.diff(channels, axis=0)).max() < np.radians(5)
    assert channels[0, 0] >= 0


def test_axis_and_angle_never_jump():
    channels = rotation_channels.to_channels(turning(), "AXIS_ANGLE")
    assert np.abs(np.diff(channels[:, 0])).max() < np.radians(10)
    assert np.sum(channels[1:, 1:] * channels[:-1, 1:], axis=-1).min() > 0


@pytest.mark.parametrize("mode", EULER_ORDERS)
def test_euler_angles_never_jump_by_half_a_turn(mode):
    # Near gimbal lock two of the angles may race, but no channel may jump to another form of the same rotation.
    angles = np.stack(
        [np.linspace(0, 9, 300), 1.2 * np.sin(np.linspace(0, 20, 300)), np.linspace(0, -7, 300)], -1
    )
    turns = rotations.from_euler(angles, mode[::-1])
    channels = rotation_channels.to_channels(turns, mode)
    assert np.abs(np.diff(channels, axis=0)).max() < 0.15


def test_euler_angles_run_through_a_quarter_turn_without_a_jump():
    # The middle angle of XYZ beyond 90 degrees, which has no form within +-90 that is near.
    angles = np.stack([np.zeros(100), np.linspace(0, 3, 100), np.full(100, 0.2)], axis=-1)  # X, Y, Z
    turns = rotations.from_euler(angles[:, ::-1], "ZYX")
    channels = rotation_channels.to_channels(turns, "XYZ")
    np.testing.assert_allclose(channels, angles, atol=1e-6)


def test_a_bone_that_does_not_turn_has_some_axis():
    still = np.tile(rotations.IDENTITY, (4, 1))
    channels = rotation_channels.to_channels(still, "AXIS_ANGLE")
    np.testing.assert_allclose(channels[:, 0], 0)
    np.testing.assert_allclose(np.linalg.norm(channels[:, 1:], axis=-1), 1)


def test_axis_is_kept_through_rest():
    turns = rotations.from_axis_angle(
        [0.0, 1.0, 0.0], np.linspace(-1, 1, 21)
    )  # exactly at rest in the middle
    channels = rotation_channels.to_channels(turns, "AXIS_ANGLE")
    np.testing.assert_allclose(np.abs(np.diff(channels[:, 0])), 0.1)
    np.testing.assert_allclose(np.diff(channels[:, 1:], axis=0), 0, atol=1e-12)


@pytest.mark.parametrize("mode", MODES)
def test_angle_off_is_the_angle_between(mode):
    a = turning(seed=1)
    b = rotations.multiply(a, rotations.from_axis_angle([0.6, 0.0, 0.8], np.linspace(0, 3, len(a))))
    off = rotation_channels.angle_off(mode)
    channels = (rotation_channels.to_channels(q, mode) for q in (a, b))
    np.testing.assert_allclose(off(*channels), np.linspace(0, 3, len(a)), atol=1e-6)


def test_property_names():
    names = [rotation_channels.property_name(mode) for mode in ("QUATERNION", "AXIS_ANGLE", "ZXY")]
    assert names == ["rotation_quaternion", "rotation_axis_angle", "rotation_euler"]
