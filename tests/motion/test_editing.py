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
