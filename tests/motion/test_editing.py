"""Generated motion between kept frames: it meets them, however short the stretch."""

import numpy as np
import pytest

from kmm_core.clip import MotionClip
from kmm_core.motion import rotations
from kmm_core.motion.editing import splice


def standing(frames: int, arm: float, height: float, speed: float, fps: float) -> MotionClip:
    """Who stands or goes along +Z with the left arm raised by ``arm`` radians, the pelvis at ``height``."""
    local = np.tile(rotations.IDENTITY, (frames, 22, 1))
    local[:, 16] = rotations.from_axis_angle(np.array([0.0, 0.0, 1.0]), arm)
    t = np.arange(frames) / fps
    return MotionClip(np.stack([0 * t, np.full(frames, height), speed * t], axis=-1), local, fps)


@pytest.mark.parametrize("fps", [24.0, 30.0, 60.0])
@pytest.mark.parametrize("gap", [1, 2, 4, 9, 30])
def test_a_stretch_between_kept_frames_meets_both(fps, gap):
    """Both misfits are half a radian and 10 cm: neither may be left over at the other's end."""
    frames, start = 90, 40
    given, made = (standing(frames, arm, height, 1.0, fps) for arm, height in ((1.0, 1.0), (0.5, 0.9)))
    kept = np.ones(frames, dtype=bool)
    kept[start : start + gap] = False
    found = splice(made, given, kept)
    assert np.array_equal(found.local_rotations[kept], given.local_rotations[kept])
    assert np.array_equal(found.root_positions[kept], given.root_positions[kept])
    # The first frame's step away from the given pose is no larger than a fade of that length takes.
    t = 1 / min(gap + 1, 0.4 * fps)
    eased = t * t * (3 - 2 * t)
    for join, inside in ((start - 1, start), (start + gap, start + gap - 1)):
        turn = rotations.angle_between(found.local_rotations[inside, 16], found.local_rotations[join, 16])
        assert turn < 0.5 * eased + 1e-6
        assert abs(found.root_positions[inside, 1] - 1.0) < 0.1 * eased + 1e-6


def test_the_last_frame_alone_stays_near_the_one_before_it():
    given, made = (standing(60, arm, 0.95, 0.0, 30.0) for arm in (1.0, 0.0))
    found = splice(made, given, np.arange(60) < 59)
    assert rotations.angle_between(found.local_rotations[59, 16], found.local_rotations[58, 16]) < 0.05


@pytest.mark.parametrize("fps", [24.0, 60.0])
def test_a_stretch_starts_and_ends_at_the_speed_of_what_is_kept(fps):
    """The kept arm turns and the kept person walks on; the generated one stands: no step of the joins is a jolt."""
    frames, start, stop = round(4 * fps), round(1.5 * fps), round(2.5 * fps)
    given = standing(frames, 0.0, 0.95, 1.2, fps)
    given.local_rotations[:, 16] = rotations.from_axis_angle(
        np.array([0.0, 0.0, 1.0]), 2.0 * np.arange(frames) / fps - 4.0
    )
    made = standing(frames, 0.0, 0.95, 0.0, fps)
    kept = np.ones(frames, dtype=bool)
    kept[start:stop] = False
    found = splice(made, given, kept)
    turns = rotations.angle_between(found.local_rotations[1:, 16], found.local_rotations[:-1, 16]) * fps
    speeds = np.diff(found.root_positions[:, 2]) * fps
    for join in (start - 1, stop - 1):
        assert abs(turns[join] - 2.0) < 0.5, "without its speed the arm stops at once"
        assert abs(speeds[join] - 1.2) < 0.1


def test_one_kept_pose_alone_is_passed_through():
    """No neighbour tells its speed, so the generated one's holds on both sides."""
    frames = 61
    given, made = standing(frames, 1.0, 0.9, 0.0, 30.0), standing(frames, 0.4, 0.95, 1.0, 30.0)
    found = splice(made, given, np.arange(frames) == 30)
    height = found.root_positions[:, 1]
    assert height[30] == pytest.approx(0.9) and abs(height[29] - height[31]) < 1e-9
    assert np.abs(np.diff(height, 2)).max() < 0.003
    assert np.allclose(np.diff(found.root_positions[:, 2]), 1 / 30)
