"""Damage to recordings is what its name says, and keeps their length."""

from __future__ import annotations

import numpy as np
import pytest

from kmm_core.clip import MotionClip
from kmm_core.evaluate import damage
from kmm_core.motion import rotations
from kmm_core.skeleton import JOINT_INDEX

ARM = JOINT_INDEX["left_shoulder"]


@pytest.fixture
def clip() -> MotionClip:
    """Walks along +Z at 1 m/s for 4 s, turns, and swings the left arm by a radian to and fro."""
    t = np.arange(121) / 30
    local = np.tile(rotations.IDENTITY, (len(t), 22, 1))
    local[:, 0] = rotations.from_yaw(0.3 * t)
    local[:, ARM] = rotations.from_axis_angle(np.array([0, 0, 1.0]), np.sin(np.pi * t))
    return MotionClip(np.stack([0 * t, np.full(len(t), 0.95), t], axis=-1), local, 30.0)


@pytest.mark.parametrize("name", damage.DAMAGES)
def test_every_damage_keeps_length_and_rate_and_changes_the_motion(clip, name):
    spoiled = damage.DAMAGES[name](clip, np.random.default_rng(0))
    assert (spoiled.num_frames, spoiled.fps) == (clip.num_frames, clip.fps)
    np.testing.assert_allclose(np.linalg.norm(spoiled.local_rotations, axis=-1), 1, atol=1e-9)
    moved = np.linalg.norm(spoiled.joint_positions() - clip.joint_positions(), axis=-1)
    assert moved.max() > 0.05


def test_trembling_is_of_the_named_size(clip):
    spoiled = damage.trembling(clip, np.random.default_rng(0))
    off = rotations.angle_between(clip.local_rotations, spoiled.local_rotations)
    assert np.degrees(np.sqrt(np.mean(off**2))) == pytest.approx(damage.TREMBLE_DEGREES, rel=0.05)


def test_who_is_stiff_swings_less_and_walks_the_same(clip):
    spoiled = damage.stiff(clip, np.random.default_rng(0))
    np.testing.assert_array_equal(spoiled.root_positions, clip.root_positions)
    np.testing.assert_allclose(spoiled.local_rotations[:, 0], clip.local_rotations[:, 0], atol=1e-12)
    swing = [
        np.ptp(rotations.to_rotation_vector(one.local_rotations[:, ARM])[:, 2]) for one in (clip, spoiled)
    ]
    assert swing[1] / swing[0] == pytest.approx(damage.MOVEMENT_KEPT, rel=0.01)


def test_who_drags_comes_less_far(clip):
    spoiled = damage.dragging(clip, np.random.default_rng(0))
    assert spoiled.root_positions[-1, 2] == pytest.approx(
        clip.root_positions[-1, 2] / damage.TIMES_AS_SLOW, rel=0.01
    )


def test_who_slides_moves_sideways(clip):
    spoiled = damage.sliding(clip, np.random.default_rng(0))
    assert spoiled.root_positions[-1, 0] - clip.root_positions[-1, 0] == pytest.approx(4 * damage.SLIDE_SPEED)
