"""What 30 frames a second cannot hold goes before a take is resampled; the motion itself stays."""

import numpy as np
import pytest

from kmm_core.clip import MotionClip
from kmm_core.motion import rotations
from training.low_pass import CUTOFF_HZ, low_pass
from training.prepare import on_floor_at_30_fps

FPS = 120.0
SECONDS = np.arange(480) / FPS


def swinging(hertz: float, degrees: float = 20.0) -> MotionClip:
    """Somebody who swings the left shoulder and sways the root at ``hertz``."""
    local = np.tile([1.0, 0.0, 0.0, 0.0], (len(SECONDS), 22, 1))
    wave = np.sin(2 * np.pi * hertz * SECONDS)
    local[:, 16] = rotations.from_axis_angle([0.0, 0.0, 1.0], np.radians(degrees) * wave)
    root = np.stack([0.01 * wave, np.full_like(wave, 0.9), 0.5 * SECONDS], axis=-1)
    return MotionClip(root_positions=root, local_rotations=local, fps=FPS)


def amplitude(clip: MotionClip) -> float:
    middle = slice(len(clip.root_positions) // 4, -len(clip.root_positions) // 4)
    return float(np.abs(clip.local_rotations[middle, 16, 3]).max())


@pytest.mark.parametrize(
    ("hertz", "least", "most"), [(1, 0.999, 1.001), (4, 0.95, 1), (CUTOFF_HZ, 0.48, 0.52)]
)
def test_the_motion_stays(hertz, least, most):
    clip = swinging(hertz)
    assert least <= amplitude(low_pass(clip)) / amplitude(clip) <= most


def test_nothing_is_shifted_in_time():
    clip = swinging(2.0)
    kept = low_pass(clip)
    assert np.abs(kept.joint_positions() - clip.joint_positions())[60:-60].max() < 0.005
    assert kept.fps == FPS and kept.num_frames == clip.num_frames


def test_shaking_does_not_fold_into_the_prepared_motion():
    # 28 Hz seen 30 times a second is a slow swing of 2 Hz.
    clip = swinging(28.0, degrees=2.0)
    folded = amplitude(clip.resample(30))
    assert folded > 0.9 * amplitude(clip)
    assert amplitude(on_floor_at_30_fps(clip)) < 0.05 * folded


def test_the_sign_of_a_quaternion_does_not_matter():
    clip = swinging(1.0)
    clip.local_rotations[200:] *= -1
    assert np.allclose(low_pass(clip).joint_positions(), low_pass(swinging(1.0)).joint_positions())


@pytest.mark.parametrize("frames", [1, 5, 9])
def test_a_take_of_a_few_frames_comes_back_as_it_is(frames):
    clip = swinging(1.0).slice(0, frames)
    assert low_pass(clip) is clip


def test_a_take_at_30_frames_a_second_is_left_alone():
    clip = swinging(1.0).resample(30)
    moved = on_floor_at_30_fps(clip)
    assert np.allclose(moved.local_rotations[:, 1:], clip.local_rotations[:, 1:], atol=1e-12)
